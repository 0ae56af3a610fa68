"""What /proc tells of one process. A process is (pid, start), never a pid."""

import os
import pwd
from typing import NamedTuple

from watchdog.clock import TICKS

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LONGEST_COMMAND = 65536
# What says that a process is not there for this user. Anything else (EMFILE, say) says nothing about it.
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


class Process(NamedTuple):
    """A process as it was when it was looked at."""

    pid: int
    start: int  # clock ticks after the machine's start: with the pid it names one process for ever
    parent: int  # pid
    name: str  # at most 15 characters
    state: str  # R, S, D, T (stopped), Z (dead, not yet collected) …
    session: int = 0  # the pid of the process that began it; only a fork leads into it

    @property
    def started(self) -> float:
        """Seconds of uptime."""
        return self.start / TICKS

    @property
    def is_dead(self) -> bool:
        return self.state in "ZX"


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
    return Process(pid, int(rest[19]), int(rest[1]), name, rest[0].decode(), int(rest[3]))


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
        raw = _read(f"/proc/{pid}/cmdline", _LONGEST_COMMAND)
    except _GONE:
        return []
    return raw.rstrip(b"\0").decode(errors="replace").split("\0")


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
    """Bytes resident, and how many of them are shared or from files; (0, 0) for a process that is gone."""
    try:
        fields = _read(f"/proc/{pid}/statm", 128).split()
        return int(fields[1]) * _PAGE, int(fields[2]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0, 0


def proportional(pid: int) -> int:
    """Bytes of memory with each shared page divided among its sharers, and what is swapped out of it.

    Raises PermissionError where this user may not know; 0 for a process that is gone.
    """
    try:
        rollup = _read(f"/proc/{pid}/smaps_rollup", 4096)
    except PermissionError:
        raise
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in rollup.split(b"\n") if line.startswith((b"Pss:", b"SwapPss:")))


def _read(path: str, most: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)
