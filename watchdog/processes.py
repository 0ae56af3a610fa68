"""What /proc tells of one process. A process is (pid, start), never a pid."""

import errno
import os
import pwd
from typing import NamedTuple

from watchdog import proc_reader
from watchdog.clock import TICKS

_LONGEST_COMMAND = 65536
_MAY_HANG = ("/cmdline", "/smaps_rollup")  # what takes the lock of the process's memory
_LONGEST_STATUS = 65536  # the memory comes after the list of groups
# What says that a process is not there for this user. Anything else (EMFILE, say) says nothing about it.
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


class Process(NamedTuple):
    """A process as it was when it was looked at."""

    pid: int
    start: int  # clock ticks after the machine's start: with the pid it names one process for ever
    parent: int  # pid
    name: str  # at most 15 characters
    state: str  # R, S, D, T (stopped), Z (ended, not yet collected) …: that of its main thread
    threads: int = 1
    session: int = 0  # the pid of the process that began it; only a fork leads into it

    @property
    def started(self) -> float:
        """Seconds of uptime."""
        return self.start / TICKS

    @property
    def identity(self) -> str:
        """PID-START, as in the names of files."""
        return f"{self.pid}-{self.start}"

    @property
    def is_dead(self) -> bool:
        """Whether all of it has ended: its main thread may end before the others."""
        return self.state in "ZX" and self.threads < 2  # noqa: PLR2004 - one is the main thread itself


def look(pid: int) -> Process | None:
    """The process with this pid, None if there is none. Raises OSError if that cannot be known."""
    try:
        raw = _read(f"/proc/{pid}/stat", 1024)
    except _GONE:
        return None
    head, _, tail = raw.rpartition(b") ")
    rest = tail.split(b" ", 20)
    if len(rest) < 20:  # noqa: PLR2004 - the start is the 22nd field, the 20th after the name
        return None
    name = head.partition(b"(")[2].decode(errors="replace")
    return Process(pid, int(rest[19]), int(rest[1]), name, rest[0].decode(), int(rest[17]), int(rest[3]))


def own_identity() -> str:
    """PID-START of this process, with 0 for a start that /proc does not tell."""
    own = look(os.getpid())
    return own.identity if own else f"{os.getpid()}-0"


def alive(pid: int, start: int) -> bool:
    """Whether this very process lives; one that is dead and not yet collected does not."""
    process = look(pid)
    return process is not None and process.start == start and not process.is_dead


def pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - 40 times faster


def newest_pid() -> int:
    """The pid given out last: while it stays the same, nothing new has started."""
    return int(_read("/proc/loadavg", 128).rsplit(b" ", 1)[-1])


def is_process(pid: int) -> bool:
    """Whether this is a process: threads have pids too, and files below /proc."""
    try:
        status = _read(f"/proc/{pid}/status", 512)
    except _GONE:
        return False
    return f"\nTgid:\t{pid}\n".encode() in status


def arguments(pid: int) -> list[str]:
    """The command line; empty if it cannot be read."""
    try:
        raw = _read_of_living(pid, "cmdline", _LONGEST_COMMAND)
    except (*_GONE, TimeoutError):
        return []
    return raw.rstrip(b"\0").decode(errors="replace").split("\0")


def is_hidden(pid: int) -> bool:
    """Whether the command line cannot be known now: the kernel does not answer."""
    return proc_reader.hangs(f"/proc/{pid}/cmdline")


def user(pid: int) -> int | None:
    """The uid of the process's user, None if it is gone."""
    try:
        status = _read(f"/proc/{pid}/status", 4096)
    except _GONE:
        return None
    _, found, rest = status.partition(b"\nUid:\t")
    return int(rest.split(None, 1)[0]) if found else None


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def resident(pid: int) -> tuple[int, int]:
    """Bytes in memory or in swap, and how many of them are shared or from files; (0, 0) for a process that is gone.

    Shared memory that is swapped out is in no process's count. Raises OSError if nothing can be known.
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
    private: int  # of the pages in memory those that nobody shares


def rollup(pid: int) -> Rollup:
    """What smaps_rollup says. Raises OSError: PermissionError where this user may not know, others if it fails."""
    text = _read_of_living(pid, "smaps_rollup", 4096)
    if b"\nPss:" not in text:
        raise OSError(errno.ENODATA, os.strerror(errno.ENODATA), f"/proc/{pid}/smaps_rollup")
    private = _size(text, b"Private_Clean") + _size(text, b"Private_Dirty")
    return Rollup(_size(text, b"Pss") + _size(text, b"SwapPss"), private)


def _size(text: bytes, name: bytes) -> int:
    """The bytes in a line "Name:  12 kB"; 0 without one."""
    begin = text.find(b"\n" + name + b":")
    return 0 if begin < 0 else int(text[begin + len(name) + 2 : text.index(b"kB", begin)]) * 1024


def _read_of_living(pid: int, name: str, most: int) -> bytes:
    """A file of /proc/PID that is about the memory. Raises OSError.

    When the main thread has ended its files are empty or fail; those of every other thread tell the same.
    """
    try:
        content = _read(f"/proc/{pid}/{name}", most)
    except ProcessLookupError:
        content = b""
    if content and b"\nState:\tZ" not in content[:256]:
        return content
    thread = _living_thread(pid)
    return content if thread is None else _read(f"/proc/{thread}/{name}", most)


def _living_thread(pid: int) -> int | None:
    """A thread that has not ended, of a process whose main thread has."""
    process = look(pid)
    if process is None or process.state != "Z" or process.is_dead:
        return None
    for name in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - as above
        thread = look(int(name))
        if thread is not None and thread.state not in "ZX":
            return thread.pid
    return None


def _read(path: str, most: int) -> bytes:
    return (proc_reader.read if path.endswith(_MAY_HANG) else proc_reader.read_at_once)(path, most)
