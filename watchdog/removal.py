"""Removes directories in places where anybody may have planted anything: nothing is followed, no mount is entered, and
nothing is removed but what belongs to the user it has to belong to.
"""

import os
import stat

from watchdog import tree


def size(parent: int, name: str) -> int:
    """Return the bytes on the disk of a file, or of a directory with all below it. Raise OSError."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    total = status.st_blocks * 512
    if stat.S_ISDIR(status.st_mode):
        total += sum(entry.status.st_blocks * 512 for entry in tree.walk(parent, name))
    return total


def remove(parent: int, name: str, uid: int) -> None:
    """Remove a file or directory that belongs to this user. Raise OSError."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_uid != uid:
        raise PermissionError(f"{name} belongs to user {status.st_uid}, not to user {uid}")
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    for entry in tree.walk(parent, name, uid):
        (os.rmdir if entry.is_directory else os.unlink)(entry.name, dir_fd=entry.parent)
    os.rmdir(name, dir_fd=parent)
