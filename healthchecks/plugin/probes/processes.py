"""Processes of a run: how they end with it, what they use, and what is below them."""

import contextlib
import ctypes
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from servermonitoring import clock

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
_PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_USER, _SYSTEM = 11, 12  # fields of /proc/PID/stat after the name


def call_and_exit(call: Callable[[], object], output: int) -> NoReturn:
    """Make the call that a process was forked for, and end the process; what was not caught is printed."""
    try:
        call()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing may return into the code of the process that was forked
        exit_with_traceback(output)


def exit_with_traceback(output: int) -> NoReturn:
    """End this process with status 1 and print the exception that is being handled, if that is still possible."""
    try:
        os.write(output, traceback.format_exc().encode(errors="replace"))
    finally:
        os._exit(1)


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends; end now if the parent is gone already."""
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def inherit_orphans() -> None:
    """Become the parent of whatever is orphaned below this process."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def resident(pid: int) -> int | None:
    """Return the bytes of memory that a process uses; None if it is gone, or without /proc."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return None


def processor_time(pid: int, thread: int) -> float:
    """Return the seconds of processor time of a thread; 0 if it is gone, or without /proc."""
    try:
        fields = Path(f"/proc/{pid}/task/{thread}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS


def state(pid: int) -> str:
    """Return the state of a process, one letter as in proc(5); empty if it is gone, or without /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1].decode()
    except OSError:
        return ""


def command(pid: int) -> bytes:
    """Return the command line of a process, its words ended by zero bytes; empty if it is gone, or without /proc."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children(pid: int) -> Iterator[int]:
    """Yield the children of a process, ended ones included; none without /proc."""
    for each in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, each.read_text().split())


def end_children(patience: float) -> None:
    """Kill the children of this process, which inherits orphans, until the kernel knows of none: `patience` seconds."""
    end = clock.monotonic() + patience
    with contextlib.suppress(ChildProcessError):
        while clock.monotonic() < end:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            for each in children(os.getpid()):  # some may be missing while others end
                with contextlib.suppress(OSError):
                    os.kill(each, signal.SIGKILL)
            clock.sleep(0.001)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
