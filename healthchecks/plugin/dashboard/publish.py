"""Writes the files of a page, readable for those who may enter its directory: a group (mode 2750), or nobody else.

`runs/` has the pages of the runs in which something changed, kept by number, age and size.
"""

import contextlib
import os
import re
from datetime import UTC, datetime
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


_RUNS = "runs"
_MAX_PAGES = 200
_MAX_DAYS = 90
_MAX_SIZE = 200_000_000  # bytes of all pages
_NAME = re.compile(r"(\d{8}T\d{6}Z)\.html")
_FORMAT = "%Y%m%dT%H%M%SZ"


def keep_run_page(directory: Path, time: float, page: str) -> None:
    """Write the page of one run; remove the oldest above the limits of number, age and size. Raises OSError."""
    folder = make_folder(directory / _RUNS)
    publish(folder / run_page_name(time), page)
    oldest, size = run_page_name(time - _MAX_DAYS * 86400), 0
    for place, name in enumerate(sorted(list_run_pages(directory), reverse=True)):
        path = folder / name
        with contextlib.suppress(OSError):  # anything may have such a name
            size += path.stat().st_size
            if place >= _MAX_PAGES or size > _MAX_SIZE or name < oldest:
                path.unlink()


def list_run_pages(directory: Path) -> set[str]:
    """Return the names of the kept pages."""
    try:
        return {path.name for path in (directory / _RUNS).iterdir() if _NAME.fullmatch(path.name)}
    except OSError:
        return set()


def run_page_name(time: float) -> str:
    """Return the name of the page of the run that began at this time (unix seconds)."""
    return f"{datetime.fromtimestamp(time, UTC):{_FORMAT}}.html"
