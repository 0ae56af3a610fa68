"""Guards a program that a run started: ends all of its processes when the run ends, and removes its directory.

A program of its own, standard library only: `python -I -S guardian.py DIRECTORY OWNER MARK COMMAND…`, with a pipe from
the run as standard input. It makes the directory, and prints "0" on standard output when the command has started, or
why it has not. When a byte or the end of the pipe arrives, or the run has died, it kills everything that the command
has started and removes the directory. Standard output ends when the command does.

MARK, as NAME=VALUE, is in the environment of the command, not of the guardian: a later run kills what has the mark of a
dead run, and the guardian must live to remove the directory.
"""

import contextlib
import ctypes
import errno
import os
import resource
import select
import shutil
import signal
import sys
import time
from pathlib import Path

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
_INTERVAL = (
    500  # milliseconds between two checks that the run lives, since another process may hold its end of the pipe
)
_LARGEST = 100_000_000  # bytes of a file that the command writes: a page may start downloads without end
_PATIENCE = 10.0  # seconds for processes that do not die
_DEAF = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2)


def main(directory: Path, owner: str, mark: str, command: list[str]) -> None:
    """Start the command; end it and its descendants when the run ends."""
    run = int(owner.partition(".")[0])
    children = _watch_children()
    for number in _DEAF:
        signal.signal(number, _nothing)  # not ignored: that the command would inherit
    _prctl(_SET_CHILD_SUBREAPER, 1)
    try:
        directory.mkdir(mode=0o700)
    except OSError as error:
        _say(f"{directory}: {error.strerror}")
        return
    try:
        (directory / "owner").write_text(owner)
        _wait(run, children, _start(command, directory, mark))
    except OSError as error:
        _say(f"{command[0]}: {error.strerror}")
    finally:
        _end_all()
        shutil.rmtree(directory, ignore_errors=True)


def _watch_children() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def _start(command: list[str], directory: Path, mark: str) -> int:
    """Start it in a session of its own; return its pid. Raise OSError."""
    reading, writing = os.pipe()  # closed by exec
    guardian, pid = os.getpid(), os.fork()
    if pid == 0:
        number = errno.EINVAL
        try:
            _become(command, directory, mark, guardian)
        except OSError as error:
            number = error.errno or number
        finally:
            os.write(writing, bytes([number]))
            os._exit(127)
    os.close(writing)
    failure = os.read(reading, 1)
    os.close(reading)
    if failure:
        raise OSError(failure[0], os.strerror(failure[0]))
    _say("0")
    return pid


def _become(command: list[str], directory: Path, mark: str, guardian: int) -> None:
    """Become the command. It dies with the guardian's thread, of which there is only one."""
    os.setsid()
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(127)
    most = min(_LARGEST, resource.getrlimit(resource.RLIMIT_FSIZE)[1] & sys.maxsize)  # no limit is -1
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # an error, and no signal: Python ignores SIGXFSZ
    output = os.open(directory / "output", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, number)
    os.chdir(directory)
    name, _, value = mark.partition("=")
    os.environ[name] = value
    os.execvp(command[0], command)  # noqa: S606 - the program that the target names


def _wait(run: int, children: int, command: int) -> None:
    """Wait until the run ends this or dies; meanwhile collect orphans, which are inherited."""
    events = select.poll()
    events.register(0, select.POLLIN)
    events.register(children, select.POLLIN)
    while os.getppid() == run:
        if 0 in dict(events.poll(_INTERVAL)):
            return
        with contextlib.suppress(BlockingIOError):
            os.read(children, 4096)
        if _has_ended(command):
            os.dup2(2, 1)  # no more output
        with contextlib.suppress(ChildProcessError):
            _collect()


def _has_ended(child: int) -> bool:
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # and was collected
        return True


def _collect() -> None:
    """Collect children that have ended. Raise ChildProcessError where no child is left."""
    while os.waitpid(-1, os.WNOHANG)[0]:
        pass


def _end_all() -> None:
    """Kill children until the kernel reports none.

    Orphans become children of this process (subreaper), so no descendant is left when no child is. Only children are
    killed: their pids cannot be reused before they are collected, which happens here.
    """
    end = time.monotonic() + _PATIENCE
    with contextlib.suppress(OSError):  # ChildProcessError; without /proc the command dies with this process
        while time.monotonic() < end:
            _collect()
            for pid in _children():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)


def _children() -> list[int]:
    """Return the children; some may be missing while others end, so callers ask again."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:  # a kernel without these files
        return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit() and _is_child(each)]


def _is_child(process: Path) -> bool:
    with contextlib.suppress(OSError):
        return process.joinpath("stat").read_bytes().rpartition(b") ")[2].split()[1] == str(os.getpid()).encode()
    return False


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the reader may be gone
        os.write(1, f"{text}\n".encode())


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _nothing(*_: object) -> None:
    pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
