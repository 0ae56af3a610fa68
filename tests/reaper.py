"""Program that runs the tests, and ends whatever they leave running, however they end.

`python -m tests.reaper COMMAND…` first removes what killed runs have left in the directory for temporary files. It is
the parent of all orphans of the command (PR_SET_CHILD_SUBREAPER of prctl(2)), so that daemons are among its processes.
SIGINT, SIGTERM and SIGHUP interrupt the command once; a second one kills it. `nohup` stays in force. Its exit status
is that of the command.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
_GRACE = 30.0  # seconds for what an interrupted command has started, to end by itself
_ABANDONED = 86400.0  # seconds after which no run uses its directories
_OURS = re.compile(r"servermonitoring-(?:machine|regression|templates|tests?)-\w+")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_libc = ctypes.CDLL(None, use_errno=True)


class Reaper:
    """A command, and all processes that it starts or leaves."""

    def __init__(self, command: Sequence[str]) -> None:
        _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._signals = 0
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number in _SIGNALS:
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)
        # In a group of its own: a terminal would interrupt it, too, and the second time is one too many.
        self._command = subprocess.Popen(command, process_group=0, preexec_fn=_prepare)  # noqa: PLW1509
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def wait(self) -> int:
        """Return the exit status of the command, when nothing of it is left."""
        status = self._wait_for_command()
        grace = time.monotonic() + _GRACE * bool(self._signals)
        while _descendants() and time.monotonic() < grace and self._signals < 2:
            _reap()
            time.sleep(0.05)
        if left := _kill_descendants():
            sys.stderr.write(f"killed what the tests have left running: {', '.join(sorted(left))}\n")
        return status

    def _wait_for_command(self) -> int:
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == self._command.pid:
                code = self._command.returncode = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code

    def _interrupt(self, *_: object) -> None:
        self._signals += 1
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._command.pid, signal.SIGINT if self._signals == 1 else signal.SIGKILL)


def _prepare() -> None:
    """In the new process: be interrupted when the reaper is killed."""
    _libc.prctl(_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _descendants() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [each for each in found if _name(each)]


def _name(process: psutil.Process) -> str:
    """Return its name; "" if it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.name()
    return ""


def _kill_descendants() -> set[str]:
    """Kill them until none is left, and return their names."""
    names = set()
    while found := _descendants():
        names |= {name for each in found if (name := _name(each))}
        for each in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        time.sleep(0.02)
        _reap()
    return names


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def remove_abandoned(directory: Path) -> None:
    """Remove directories of killed runs that are a day old, and that no process uses."""
    old = {each.name for each in directory.iterdir() if _OURS.fullmatch(each.name) and _is_abandoned(each)}
    if old:
        for text in _paths_in_use():
            old.difference_update(_OURS.findall(text))
    for name in old:
        shutil.rmtree(directory / name, ignore_errors=True)


def _is_abandoned(path: Path) -> bool:
    with contextlib.suppress(OSError):
        status = path.lstat()
        return status.st_uid == os.geteuid() and time.time() - status.st_mtime > _ABANDONED
    return False


def _paths_in_use() -> Iterator[str]:
    """Yield the mounts, and of each process its arguments, its directories and its open files."""
    yield Path("/proc/self/mountinfo").read_text(errors="replace")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "cmdline").read_bytes().decode(errors="replace")
            for link in (process / "cwd", process / "root", *(process / "fd").iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    yield str(link.readlink())


if __name__ == "__main__":
    remove_abandoned(Path(tempfile.gettempdir()))
    sys.exit(Reaper(sys.argv[1:]).wait())
