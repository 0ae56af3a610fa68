"""Processes, as /proc shows them, and the uptime that their starts are counted in.

A process is identified by (pid, start), never by its pid alone.
"""

import errno
import functools
import os
import sys
import time
from typing import NamedTuple

from watchdog import proc_files

TICKS = os.sysconf("SC_CLK_TCK")  # per second; the unit of a process's start in /proc/PID/stat
_LONGEST_COMMAND = 65536
_LONGEST_STATUS = 65536  # the memory comes after the list of groups
# Errors that mean that a process is not there for this user. Others, such as EMFILE, mean nothing.
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def uptime() -> float:
    """Return the seconds since the machine started, to a hundredth."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _is_uptime_of_container() else _uptime_of_kernel()


def _uptime_of_kernel() -> float:
    return float(proc_files.read_at_once("/proc/uptime", 64).split(b" ", 1)[0])


@functools.cache
def _is_uptime_of_container() -> bool:
    """Return whether another file is mounted on /proc/uptime: that of LXC counts from the container's start.

    Only then the clock is read, which a program may have faked for itself (libfaketime).
    """
    return os.stat("/proc/uptime").st_dev != os.stat("/proc/self/stat").st_dev  # noqa: PTH116 - pathlib costs 2 ms here


class Process(NamedTuple):
    """A process at the moment when it was read."""

    pid: int
    start: int  # clock ticks after the machine's start: with the pid it identifies one process for ever
    parent: int  # pid
    name: str  # at most 15 characters
    state: str  # R, S, D, T (stopped), Z (ended, not yet collected) …: that of its main thread
    threads: int = 1
    session: int = 0  # the pid of the process that began it; only a fork leads into it

    @property
    def started_at(self) -> float:
        """Return the start in seconds of uptime."""
        return self.start / TICKS

    @property
    def identity(self) -> str:
        """Return PID-START, as in the names of files."""
        return f"{self.pid}-{self.start}"

    @property
    def is_dead(self) -> bool:
        """Return whether all of it has ended: its main thread may end before the others."""
        return self.state in "ZX" and self.threads < 2  # noqa: PLR2004 - one is the main thread itself


def find(pid: int) -> Process | None:
    """Return the process with this pid, None if there is none. Raise OSError if that cannot be known."""
    try:
        raw = proc_files.read(f"/proc/{pid}/stat", 1024)
    except _GONE:
        return None
    head, _, tail = raw.rpartition(b") ")
    rest = tail.split(b" ", 20)
    if len(rest) < 20:  # noqa: PLR2004 - the start is the 22nd field, the 20th after the name
        return None
    name = sys.intern(head.partition(b"(")[2].decode(errors="replace"))  # many have the same
    return Process(pid, int(rest[19]), int(rest[1]), name, rest[0].decode(), int(rest[17]), int(rest[3]))


def name(pid: int) -> str | None:
    """Return the name of the process with this pid, None if there is none. Raise OSError if that cannot be known."""
    try:
        return proc_files.read(f"/proc/{pid}/comm", 64).removesuffix(b"\n").decode(errors="replace")
    except _GONE:
        return None


def own_identity() -> str:
    """Return PID-START of this process, with 0 for a start that cannot be read."""
    own = find(os.getpid())
    return own.identity if own else f"{os.getpid()}-0"


def alive(pid: int, start: int) -> bool:
    """Return whether this very process is alive; one that is dead and not yet collected is not."""
    process = find(pid)
    return process is not None and process.start == start and not process.is_dead


def pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - 40 times faster


def newest_pid() -> int:
    """Return the newest pid of the kernel: while it stays the same, nothing new has started."""
    return int(proc_files.read("/proc/loadavg", 128).rsplit(b" ", 1)[-1])


def is_process(pid: int) -> bool:
    """Return whether this is a process: threads have pids too, and files below /proc, but no pidfd.

    Opening one costs a fifth of reading a file. Raise OSError if that cannot be known.
    """
    try:
        os.close(os.pidfd_open(pid))
    except _GONE:  # from Linux 6.9 also for a thread
        return False
    except OSError as error:
        if error.errno == errno.EINVAL:  # a thread, before Linux 6.9
            return False
        raise
    return True


def arguments(pid: int) -> list[str]:
    """Return the command line; empty if it cannot be read."""
    try:
        raw = _read_of_living(pid, "cmdline", _LONGEST_COMMAND)
    except (*_GONE, TimeoutError):
        return []
    return raw.rstrip(b"\0").decode(errors="replace").split("\0")


def is_hidden(pid: int) -> bool:
    """Return whether the command line cannot be read now: the kernel does not respond."""
    return proc_files.hangs(f"/proc/{pid}/cmdline")


def user(pid: int) -> int | None:
    """Return the uid of the process's user, None if it is gone."""
    try:
        status = proc_files.read(f"/proc/{pid}/status", 4096)
    except _GONE:
        return None
    _, found, rest = status.partition(b"\nUid:\t")
    return int(rest.split(None, 1)[0]) if found else None


def resident(pid: int) -> tuple[int, int]:
    """Return the bytes in memory or swap, and how many are shared or from files; (0, 0) for a process that is gone.

    Shared memory that is swapped out is in no process's count. Raise OSError if nothing can be read.
    """
    try:
        status = _read_of_living(pid, "status", _LONGEST_STATUS)
    except _GONE:
        return 0, 0
    whole = _size(status, b"VmRSS") + _size(status, b"VmSwap")
    return whole, _size(status, b"RssFile") + _size(status, b"RssShmem")


class Rollup(NamedTuple):
    """The memory of a process by its mappings, in bytes."""

    proportional: int  # each shared page divided among its sharers, and what is swapped out
    private: int  # those of the pages in memory that nobody shares


def rollup(pid: int) -> Rollup:
    """Read smaps_rollup. Raise OSError; PermissionError where this user may not read it."""
    text = _read_of_living(pid, "smaps_rollup", 4096)
    if b"\nPss:" not in text:
        raise OSError(errno.ENODATA, os.strerror(errno.ENODATA), f"/proc/{pid}/smaps_rollup")
    private = _size(text, b"Private_Clean") + _size(text, b"Private_Dirty")
    return Rollup(_size(text, b"Pss") + _size(text, b"SwapPss"), private)


def _size(text: bytes, name: bytes) -> int:
    """Return the bytes in a line "Name:  12 kB"; 0 without one."""
    begin = text.find(b"\n" + name + b":")
    return 0 if begin < 0 else int(text[begin + len(name) + 2 : text.index(b"kB", begin)]) * 1024


def _read_of_living(pid: int, name: str, most: int) -> bytes:
    """Read a file of /proc/PID about its memory. Raise OSError.

    When the main thread has ended its files are empty or fail; those of every other thread hold the same.
    """
    try:
        content = proc_files.read(f"/proc/{pid}/{name}", most)
    except ProcessLookupError:
        content = b""
    if content and b"\nState:\tZ" not in content[:256]:
        return content
    thread = _living_thread(pid)
    return content if thread is None else proc_files.read(f"/proc/{thread}/{name}", most)


def _living_thread(pid: int) -> int | None:
    """Return a living thread of a process whose main thread has ended."""
    process = find(pid)
    if process is None or process.state != "Z" or process.is_dead:
        return None
    for name in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - as above
        thread = find(int(name))
        if thread is not None and thread.state not in "ZX":
            return thread.pid
    return None
