"""Removal of directories in places where anybody may have planted anything: no link is followed, no mount is entered,
and only what belongs to the expected user is removed.
"""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TreeEntry(NamedTuple):
    """Something in a directory that is open."""

    parent: int  # descriptor, to be used before the next entry is requested
    name: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


class _Level(NamedTuple):
    """A directory on the way from the top."""

    name: str
    status: os.stat_result
    left: list[str]  # names in it that have not been visited


def walk(parent: int, name: str, uid: int | None = None) -> Iterator[TreeEntry]:
    """Yield everything below a directory, what is in a directory before the directory itself.

    Raise OSError, also for a mount point and, with `uid`, for a directory of another user.
    """
    mount = _mount(parent)
    current = os.open(name, _FLAGS, dir_fd=parent)
    try:
        path = [_level(current, name, mount, uid)]
        while path:
            level = path[-1]
            if level.left:
                entry = _entry(current, level.left.pop())
                if entry is not None and entry.is_directory:
                    current = _replace(current, entry.name)
                    path.append(_level(current, entry.name, mount, uid))
                elif entry is not None:
                    yield entry
            elif path.pop() and path:
                current = _replace(current, "..")
                if not os.path.samestat(os.fstat(current), path[-1].status):
                    raise OSError(f"{level.name} was moved meanwhile")
                yield TreeEntry(current, level.name, level.status)
    finally:
        os.close(current)


def _entry(directory: int, name: str) -> TreeEntry | None:
    try:
        return TreeEntry(directory, name, os.stat(name, dir_fd=directory, follow_symlinks=False))
    except FileNotFoundError:  # removed meanwhile
        return None


def _replace(directory: int, name: str) -> int:
    """Open what is in a directory, and close the directory."""
    opened = os.open(name, _FLAGS, dir_fd=directory)
    os.close(directory)
    return opened


def _level(directory: int, name: str, mount: bytes, uid: int | None) -> _Level:
    status = os.fstat(directory)
    if uid is not None and status.st_uid != uid:
        raise PermissionError(f"{name} belongs to user {status.st_uid}, not to user {uid}")
    if _mount(directory) != mount:
        raise OSError(f"{name} is a mount point: what is mounted there is not removed")
    return _Level(name, status, os.listdir(directory))


def _mount(directory: int) -> bytes:
    """Return the line with the id of the mount: a bind mount has the device of what it shows."""
    descriptor = os.open(f"/proc/self/fdinfo/{directory}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(descriptor, 1024).split(b"\n")
    finally:
        os.close(descriptor)
    return next(line for line in lines if line.startswith(b"mnt_id:"))


def size(parent: int, name: str) -> int:
    """Return the bytes on the disk of a file, or of a directory with all below it. Raise OSError."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    total = status.st_blocks * 512
    if stat.S_ISDIR(status.st_mode):
        total += sum(entry.status.st_blocks * 512 for entry in walk(parent, name))
    return total


def remove(parent: int, name: str, uid: int) -> None:
    """Remove a file or directory that belongs to this user. Raise OSError."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_uid != uid:
        raise PermissionError(f"{name} belongs to user {status.st_uid}, not to user {uid}")
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    for entry in walk(parent, name, uid):
        (os.rmdir if entry.is_directory else os.unlink)(entry.name, dir_fd=entry.parent)
    os.rmdir(name, dir_fd=parent)
