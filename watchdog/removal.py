"""Removes directories in places where anybody may have planted anything: nothing is followed, and nothing is
removed but what belongs to the user it has to belong to.
"""

import os
import stat

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def size(parent: int, name: str) -> int:
    """Bytes on the disk of a file, or of a directory with all below it. Raises OSError."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    total = status.st_blocks * 512
    if stat.S_ISDIR(status.st_mode):
        for _, _, names, descriptor in os.fwalk(name, dir_fd=parent, follow_symlinks=False):
            total += sum(_blocks(descriptor, each) for each in names)
    return total


def remove(parent: int, name: str, uid: int) -> None:
    """Remove a file or directory that belongs to this user. Raises OSError."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_uid != uid:
        raise PermissionError(f"{name} belongs to user {status.st_uid}, not to user {uid}")
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    descriptor = os.open(name, _FLAGS, dir_fd=parent)
    try:
        if os.fstat(descriptor).st_uid != uid:
            raise PermissionError(f"{name} was exchanged")
        _empty(descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=parent)


def _empty(directory: int) -> None:
    for _, directories, names, descriptor in os.fwalk(".", topdown=False, dir_fd=directory, follow_symlinks=False):
        for name in names:
            os.unlink(name, dir_fd=descriptor)
        for name in directories:
            _remove_directory(descriptor, name)


def _remove_directory(parent: int, name: str) -> None:
    try:
        os.rmdir(name, dir_fd=parent)
    except NotADirectoryError:  # a link to one
        os.unlink(name, dir_fd=parent)


def _blocks(descriptor: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0
