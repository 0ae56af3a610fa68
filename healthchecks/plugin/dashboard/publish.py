"""For whom a page is: those whom its directory lets in, be it a group (mode 2750, for a web server) or nobody else."""

import os
from pathlib import Path

from servermonitoring.files import refuse_foreign_link, remove_abandoned, write_whole


def publish(path: Path, content: bytes | str) -> None:
    """Write a page, or what belongs to it: beside, and renamed. Raises OSError; the old one is then still there."""
    write_whole(path, content, mode=mode_in(path.parent), durable=False)


def folder(path: Path) -> Path:
    """A folder of pages for the same readers as the one it is in, made where there is none. Raises OSError.

    What a run that was killed left half-written in it is removed.
    """
    refuse_foreign_link(path)
    if not path.is_dir():
        # By the umask: a chmod by who is not in the group would take away the setgid bit, and the group from its files.
        before = os.umask(0o777 & ~_mode(path.parent))
        try:
            path.mkdir(exist_ok=True)
        finally:
            os.umask(before)
    remove_abandoned(path)
    return path


def mode_in(directory: Path) -> int:
    """The mode of a page's files: who may enter the directory may read them, only the owner may write. Raises OSError.

    Its group is theirs where the directory has the setgid bit.
    """
    entered = _mode(directory) & 0o055  # read and enter, by group and others
    readers = (entered & entered << 2) & 0o044
    return 0o600 | readers


def _mode(directory: Path) -> int:
    return directory.stat().st_mode & 0o755 | 0o700
