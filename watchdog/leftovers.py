"""`watchdog clean`: the leftovers of dead browsers in /tmp, which of them living processes use, and their removal.

A leftover is in use by command line, open files, working directory, mounts, sockets, the browsers' own locks, and the
run that is named as owner.
"""

import contextlib
import fcntl
import os
import re
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from servermonitoring import owner
from watchdog import processes, removal

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Leftover(NamedTuple):
    """A file or directory that a dead browser left."""

    path: Path
    size: int  # bytes on the disk
    error: str = ""  # why it is still there


def clean(directory: Path, older_than: float, *, dry_run: bool) -> Iterator[Leftover]:
    """Remove the leftovers of that age (seconds) in a directory, or only list them. Raise OSError."""
    used = used_entries(directory)
    parent = os.open(directory, _FLAGS)
    try:
        for name in sorted(os.listdir(parent)):  # noqa: PTH208 - a descriptor
            if _is_temporary(name) and name not in used and _is_left(parent, name, older_than):
                yield _leftover(directory, parent, name, dry_run=dry_run)
    finally:
        os.close(parent)


def remove_profiles(arguments: list[str], uid: int) -> list[Leftover]:
    """Remove the temporary profile of a killed browser, if it belongs to the browser's user."""
    removed = []
    for path in _left_by(arguments):
        try:
            parent = os.open(path.parent, _FLAGS)
        except OSError:
            continue
        try:
            if os.stat(path.name, dir_fd=parent, follow_symlinks=False) and not is_locked(parent, path.name):
                removed.append(_remove(path, parent, path.name, uid))
        except FileNotFoundError:
            continue  # it has cleaned up itself
        finally:
            os.close(parent)
    return removed


def _is_left(parent: int, name: str, older_than: float) -> bool:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False
    if os.geteuid() not in (0, status.st_uid):
        return False
    # Nobody can set the time of the last change back, and a young directory may be about to be used.
    return time.time() - status.st_ctime >= older_than and not is_locked(parent, name)


def _leftover(directory: Path, parent: int, name: str, *, dry_run: bool) -> Leftover:
    path = directory / name
    if not dry_run:
        return _remove(path, parent, name, os.stat(name, dir_fd=parent, follow_symlinks=False).st_uid)
    try:
        return Leftover(path, removal.size(parent, name))
    except OSError as error:
        return Leftover(path, 0, str(error))


def _remove(path: Path, parent: int, name: str, uid: int) -> Leftover:
    size = 0
    try:
        size = removal.size(parent, name)
        removal.remove(parent, name, uid)
    except OSError as error:
        return Leftover(path, size, str(error))
    return Leftover(path, size)


_TEMPORARY = re.compile(
    r"rust_mozprofile\w{1,40}"  # geckodriver
    r"|tmp[\w-]{1,40}\.mozrunner"  # marionette
    r"|\.?(?:org\.chromium\.Chromium|com\.google\.Chrome)\.[\w.-]{1,40}"  # chromedriver, Chromium
    r"|\.?scoped_dir[\w.-]{0,40}"
)
_OPTION = re.compile(r"--?(?:profile|user-data-dir)(?:=(?P<path>.+))?")


def _is_temporary(name: str) -> bool:
    """Return whether drivers, browsers and health checks give such names to their temporary directories."""
    return _TEMPORARY.fullmatch(name) is not None or owner.is_directory_name(name)


def named_in(arguments: list[str]) -> Iterator[Path]:
    """Yield the profile directories in a browser's command line."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        match = _OPTION.fullmatch(argument)
        path = match and (match["path"] or following)
        if path and path.startswith("/"):
            yield Path(path)


def _left_by(arguments: list[str]) -> list[Path]:
    """Return what a killed browser leaves: its temporary profile, and the directory of its socket."""
    found = []
    for profile in named_in(arguments):
        found += [path for path in (profile, *_socket_directory(profile)) if _is_temporary(path.name)]
    return found


def _socket_directory(profile: Path) -> list[Path]:
    """Return the directory of Chromium's socket, by a link in its profile."""
    try:
        return [(profile / "SingletonSocket").readlink().parent]
    except OSError:
        return []


_WORD = re.compile(r"[\w.-]+")
_ROOT = 3  # field of /proc/PID/mountinfo: what of the file system is mounted
_LARGEST_TABLE = 2**24  # characters
_FLOCK = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, pid


def used_entries(directory: Path) -> set[str]:
    """Return the names in the directory that living processes mention, as far as this user may see.

    In which directory they mention them does not matter: another process may see it elsewhere (in a mount namespace,
    below a root of its own, by a relative path), and drivers give no name twice.
    """
    names = set(os.listdir(directory))  # noqa: PTH208 - 40 times faster
    used: set[str] = set()
    read: set[str] = set()
    for pid in processes.pids():
        for text in (*_paths(pid), *_mounts(pid, read), *_sockets(pid, read)):
            used |= names.intersection(_WORD.findall(text))
    return used


def is_locked(parent: int, name: str) -> bool:
    """Return whether what is in a profile directory says that a browser, or the run that made it, uses it."""
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
        request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        response = struct.unpack(_FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, request))
        return int(response[0]) != fcntl.F_UNLCK
    finally:
        os.close(lock)


def _chromium_lives(profile: int) -> bool:
    try:
        host, _, pid = os.readlink("SingletonLock", dir_fd=profile).rpartition("-")
    except OSError:
        return False
    if host != os.uname().nodename:
        return True  # of another machine or container: it may be alive
    process = processes.find(int(pid)) if pid.isdigit() else None
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
