"""The spawner: a small process, forked before the run has any thread, that forks the workers and ends them.

As child subreaper it becomes the parent of what a check leaves behind, so that nothing outlives the run: it kills all
of it when the run ends, in whatever way.
"""

import array
import contextlib
import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from functools import partial

from healthchecks.plugin import signals
from healthchecks.plugin.probes.processes import call_and_exit, children, command, end_with_parent, inherit_orphans
from servermonitoring import clock

_REQUEST = struct.Struct("<ci")  # what, number of a worker
_REPORT = struct.Struct("<cii")  # what, number of a worker, pid or exit status
_FORK, _KILL = b"F", b"K"
STARTED, REFUSED, ENDED = b"S", b"R", b"E"
_GUARDIAN = b"/guardian.py"  # in the command line of what guards a browser
_PATIENCE = 3.0  # seconds for guardians, and for processes that do not die

RunProcess = Callable[[socket.socket, int, int], None]


class Spawner:
    """The pytest process's side of it."""

    def __init__(self, run_process: RunProcess) -> None:
        """Fork it. Raise OSError if the system gives no process."""
        self.socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.socket.close()
            call_and_exit(_Spawner(its, run_process).run, 2)
        its.close()
        os.register_at_fork(after_in_child=self.socket.close)  # its end shows that the run is over

    def fork(self, number: int, channel: socket.socket, output: int) -> None:
        """Ask for a worker; a report STARTED with its pid follows, or REFUSED."""
        fds = array.array("i", [channel.fileno(), output])
        with contextlib.suppress(OSError):  # it is gone, as its end of the socket will show
            self.socket.sendmsg([_REQUEST.pack(_FORK, number)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])

    def kill(self, number: int) -> None:
        """Kill a worker; a report ENDED follows."""
        with contextlib.suppress(OSError):
            self.socket.send(_REQUEST.pack(_KILL, number))

    def report(self) -> tuple[bytes, int, int] | None:
        """Return the next report; None at the end of the spawner."""
        try:
            data = self.socket.recv(_REPORT.size)
        except OSError:
            return None
        return _REPORT.unpack(data) if len(data) == _REPORT.size else None

    def end(self, patience: float) -> None:
        """End it with all that is below it; wait until it has, `patience` seconds at most."""
        end = clock.monotonic() + patience
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            while select.select([self.socket], [], [], max(0.0, end - clock.monotonic()))[0] and self.report():
                pass
        self.socket.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                if clock.monotonic() > end:
                    os.kill(self.pid, signal.SIGKILL)
                clock.sleep(0.002)


class _Spawner:
    """The process."""

    def __init__(self, requests: socket.socket, run_process: RunProcess) -> None:
        self._requests, self._run_process = requests, run_process
        self._workers: dict[int, int] = {}  # pid → number

    def run(self) -> None:
        signals.ignore_signals()
        inherit_orphans()
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        while self._serve(woken):
            self._reap()
        self._end_all()

    def _serve(self, woken: int) -> bool:
        """Wait for something to do, and do what is asked. Return False when the run has ended."""
        requests = self._requests.fileno()
        ready = select.select([requests, woken], [], [])[0]
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 512)
        if requests not in ready:
            return True
        try:
            message, descriptors, _, _ = socket.recv_fds(self._requests, _REQUEST.size, 2)
        except OSError:  # reset: the run was killed, and had not read all reports
            return False
        if len(message) != _REQUEST.size:
            return False
        what, number = _REQUEST.unpack(message)
        if what == _FORK:
            self._fork(number, *descriptors)
        elif pid := next((pid for pid, each in self._workers.items() if each == number), None):
            os.kill(pid, signal.SIGKILL)
        return True

    def _fork(self, number: int, channel: int, output: int) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            self._report(REFUSED, number, 0)
        else:
            if pid == 0:
                self._become_worker(parent, number, channel, output)
            self._workers[pid] = number
            self._report(STARTED, number, pid)
        os.close(channel)
        os.close(output)

    def _become_worker(self, parent: int, number: int, channel: int, output: int) -> None:
        end_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._requests.close()
        for descriptor in (channel, output):
            os.set_inheritable(descriptor, False)
        call_and_exit(partial(self._run_process, socket.socket(fileno=channel), output, number), output)

    def _report(self, what: bytes, number: int, value: int) -> None:
        with contextlib.suppress(OSError):
            self._requests.send(_REPORT.pack(what, number, value))

    def _reap(self) -> bool:
        """Collect what has ended. Return False when no child is left, as the kernel knows alone."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if (number := self._workers.pop(pid, None)) is not None:
                    self._report(ENDED, number, os.waitstatus_to_exitcode(status))
                    self._end_orphans()
            return True
        return False

    def _end_orphans(self) -> None:
        """Kill what workers have left behind; some may be missing while others end, so it is called again.

        A guardian ends by itself when its worker is gone, and then it removes what the browser has left.
        """
        for pid in children(os.getpid()):
            if pid not in self._workers and _GUARDIAN not in command(pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _end_all(self) -> None:
        """Kill the workers and everything else, and wait for their guardians."""
        for pid in self._workers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        end = clock.monotonic() + _PATIENCE
        while self._reap() and clock.monotonic() < end:
            self._end_orphans()
            clock.sleep(0.002)
