"""Which entries of a directory living processes use: by command line, open files, working directory, mounts, sockets,
by the browsers' own locks, and by the run that is named as owner.
"""

import contextlib
import fcntl
import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from servermonitoring import owner
from watchdog import processes

_NAME = re.compile(r"[\w.-]+")
_ROOT = 3  # field of /proc/PID/mountinfo: what of the file system is mounted
_LARGEST_TABLE = 2**24  # characters
_FLOCK = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid


def used_entries(directory: Path) -> set[str]:
    """Return the names in the directory that something alive names, as far as this user may see.

    The directory in which it names them does not matter: another process may see it elsewhere (in a mount namespace,
    below a root of its own, by a relative path), and drivers give no name twice.
    """
    names = set(os.listdir(directory))  # noqa: PTH208 - 40 times faster
    used: set[str] = set()
    read: set[str] = set()
    for pid in processes.pids():
        for text in (*_paths(pid), *_mounts(pid, read), *_sockets(pid, read)):
            used |= names.intersection(_NAME.findall(text))
    return used


def locked(parent: int, name: str) -> bool:
    """Whether what is in a profile directory says that a browser, or the run that made it, uses it."""
    try:
        profile = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return False
    try:
        run = owner.owner_of(profile)
        return _firefox_lives(profile) or _chromium_lives(profile) or (run is not None and not run.is_dead)
    finally:
        os.close(profile)


def _firefox_lives(profile: int) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        lock = os.open(".parentlock", flags, dir_fd=profile)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            return False
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack(_FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, asked))
        return int(answer[0]) != fcntl.F_UNLCK
    finally:
        os.close(lock)


def _chromium_lives(profile: int) -> bool:
    try:
        host, _, pid = os.readlink("SingletonLock", dir_fd=profile).rpartition("-")
    except OSError:
        return False
    if host != os.uname().nodename:
        return True  # of another machine or container: not ours to judge
    process = processes.look(int(pid)) if pid.isdigit() else None
    return process is not None and not process.is_dead


def _paths(pid: int) -> Iterator[str]:
    yield "\0".join(processes.arguments(pid))
    base = Path(f"/proc/{pid}")
    try:
        descriptors = list((base / "fd").iterdir())
    except OSError:
        descriptors = []
    for link in (base / "cwd", base / "root", *descriptors):
        with contextlib.suppress(OSError):
            yield str(link.readlink())


def _mounts(pid: int, read: set[str]) -> Iterator[str]:
    """Yield what is mounted where this process sees it: a profile may be mounted for it under another name."""
    for line in _table(pid, "mountinfo", ("ns/mnt", "root"), read):
        fields = line.split(" ", 4)
        if len(fields) > _ROOT:
            yield fields[_ROOT]


def _sockets(pid: int, read: set[str]) -> Iterator[str]:
    """Yield the names of the Unix sockets in this process's network namespace."""
    yield from _table(pid, "net/unix", ("ns/net",), read)


def _table(pid: int, name: str, shared: tuple[str, ...], read: set[str]) -> list[str]:
    """Return a table of a process's, once for all processes that have the same one."""
    base = Path(f"/proc/{pid}")
    try:
        key = " ".join((name, *(str((base / link).readlink()) for link in shared)))
        if key in read:
            return []
        with (base / name).open(errors="replace") as table:
            lines = table.read(_LARGEST_TABLE).splitlines()
    except OSError:
        return []
    read.add(key)
    return lines
