"""Owner of a temporary directory or a process: a run, identified by pid, start time and pid namespace.

A killed run cannot remove what it made. The next one, and `watchdog clean`, must know that it is dead: its pid may
belong to another process now, and a directory in /tmp may be that of a run in a container.
"""

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

FILE = "owner"  # in a temporary directory: its owner
PREFIX = "servermonitoring-browser-"
_NAME = re.compile(re.escape(PREFIX) + r"[0-9a-f]{12}")
_TEXT = re.compile(r"(\d{1,10})\.(\d{1,20})\.(\d{1,20})")
_LONGEST = 100  # bytes of the file
_STATE, _START = 0, 19  # fields of /proc/PID/stat after the name


class Owner(NamedTuple):
    """A process; as a text `PID.START.NAMESPACE`."""

    pid: int
    start: int  # clock ticks after the start of the machine
    namespace: int  # of pids, by its inode

    def __str__(self) -> str:
        return f"{self.pid}.{self.start}.{self.namespace}"

    @property
    def is_dead(self) -> bool:
        """Whether it is certainly dead; of one in another container, or without /proc, that is unknown."""
        return self.namespace == _namespace() != 0 and _start(self.pid) != self.start


def this_process() -> Owner:
    """Return this process as an owner."""
    return Owner(os.getpid(), _start(os.getpid()) or 0, _namespace())


def parse(text: str) -> Owner:
    """Return the owner of a text. Raise ValueError if it is none."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("not an owner")
    return Owner(*map(int, found.groups()))


def is_directory_name(name: str) -> bool:
    """Return whether a directory of this name belongs to a browser of a health check."""
    return _NAME.fullmatch(name) is not None


def owner_of(directory: int) -> Owner | None:
    """Return the owner that an open directory names; None if there is none or its file is not regular."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(FILE, flags, dir_fd=directory)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return parse(os.read(descriptor, _LONGEST).decode("ascii"))
        finally:
            os.close(descriptor)
    return None


def _start(pid: int) -> int | None:
    """Return the start of a process in clock ticks; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return None
    return None if fields[_STATE] in b"ZX" else int(fields[_START])


def _namespace() -> int:
    """Return the inode of the pid namespace; 0 if unknown."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
