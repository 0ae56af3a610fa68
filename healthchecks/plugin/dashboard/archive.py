"""`runs/`: the pages of the runs in which something changed, kept by number, age and size."""

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path

from healthchecks.plugin.dashboard import publish

DIRECTORY = "runs"
MOST = 200  # pages
DAYS = 90
_LARGEST = 200_000_000  # bytes of them all
_NAME = re.compile(r"(\d{8}T\d{6}Z)\.html")
_FORMAT = "%Y%m%dT%H%M%SZ"


def name_of(time: float) -> str:
    """The file for the run that began at this moment."""
    return f"{datetime.fromtimestamp(time, UTC):{_FORMAT}}.html"


def kept(directory: Path) -> set[str]:
    """The names of those there are."""
    try:
        return {path.name for path in (directory / DIRECTORY).iterdir() if _NAME.fullmatch(path.name)}
    except OSError:
        return set()


def keep(directory: Path, time: float, page: str) -> None:
    """Write the page of one run, and remove those that are too many, too old or too large. Raises OSError."""
    folder = publish.folder(directory / DIRECTORY)
    publish.publish(folder / name_of(time), page)
    oldest, size = name_of(time - DAYS * 86400), 0
    for place, name in enumerate(sorted(kept(directory), reverse=True)):
        path = folder / name
        with contextlib.suppress(OSError):  # what has their name need not be a page
            size += path.stat().st_size
            if place >= MOST or size > _LARGEST or name < oldest:
                path.unlink()
