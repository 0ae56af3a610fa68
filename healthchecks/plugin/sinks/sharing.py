"""For whom a page is: those whom its directory lets in, be it a group (mode 2750, for a web server) or nobody else."""

from pathlib import Path


def mode_in(directory: Path) -> int:
    """The mode of a page's files: who may enter the directory may read them, only the owner may write. Raises OSError.

    Its group is theirs where the directory has the setgid bit.
    """
    entered = directory.stat().st_mode & 0o055  # read and enter, by group and others
    readers = (entered & entered << 2) & 0o044
    return 0o600 | readers
