"""Which entries of a directory living processes use: by command line, open files, working directory, sockets,
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

_FLOCK = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid


def used_entries(directory: Path) -> set[str]:
    """Names in the directory that something alive uses, as far as this user may see."""
    prefix = os.path.realpath(directory).rstrip("/") + "/"
    prefixes = {prefix, str(directory.absolute()).rstrip("/") + "/"}
    pattern = re.compile("|".join(f"{re.escape(each)}([^/\0]+)" for each in prefixes))
    used: set[str] = set()
    for text in (*_sockets(), *(text for pid in processes.pids() for text in _paths(pid))):
        used.update(name for match in pattern.finditer(text) for name in match.groups() if name)
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
    for link in (base / "cwd", *descriptors):
        with contextlib.suppress(OSError):
            yield str(link.readlink())


def _sockets() -> list[str]:
    try:
        return Path("/proc/net/unix").read_text(errors="replace").splitlines()
    except OSError:
        return []
