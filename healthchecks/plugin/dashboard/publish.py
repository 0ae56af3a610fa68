"""Writes the files of a page, readable for those who may enter its directory: a group (mode 2750), or nobody else."""

import os
from pathlib import Path

from servermonitoring.files import refuse_foreign_link, remove_abandoned, write_whole


def publish(path: Path, content: bytes | str) -> None:
    """Write a file of the page atomically. Raises OSError; the old one is then still there."""
    write_whole(path, content, mode=choose_mode(path.parent), durable=False)


def make_folder(path: Path) -> Path:
    """Make a folder with the readers of its parent, if it does not exist; return it. Raises OSError.

    Unfinished files of killed runs in it are removed.
    """
    refuse_foreign_link(path)
    if not path.is_dir():
        # By the umask: a chmod by a user outside the group would clear the setgid bit, and files would lose the group.
        before = os.umask(0o777 & ~_mode(path.parent))
        try:
            path.mkdir(exist_ok=True)
        finally:
            os.umask(before)
    remove_abandoned(path)
    return path


def choose_mode(directory: Path) -> int:
    """Return the mode of a page's files: those who may enter the directory may read, the owner may write.

    With the setgid bit the files have the group of the directory. Raises OSError.
    """
    entered = _mode(directory) & 0o055  # read and enter, for group and others
    readers = (entered & entered << 2) & 0o044
    return 0o600 | readers


def _mode(directory: Path) -> int:
    return directory.stat().st_mode & 0o755 | 0o700
