"""`runs/`: the pages of the runs in which something changed, kept by number, age and size."""

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path

from healthchecks.plugin.dashboard import publish

DIRECTORY = "runs"
MAX_PAGES = 200
MAX_DAYS = 90
_MAX_SIZE = 200_000_000  # bytes of all pages
_NAME = re.compile(r"(\d{8}T\d{6}Z)\.html")
_FORMAT = "%Y%m%dT%H%M%SZ"


def file_name(time: float) -> str:
    """Return the name of the page of the run that began at this time (unix seconds)."""
    return f"{datetime.fromtimestamp(time, UTC):{_FORMAT}}.html"


def list_kept(directory: Path) -> set[str]:
    """Return the names of the kept pages."""
    try:
        return {path.name for path in (directory / DIRECTORY).iterdir() if _NAME.fullmatch(path.name)}
    except OSError:
        return set()


def keep(directory: Path, time: float, page: str) -> None:
    """Write the page of one run; remove the oldest above the limits of number, age and size. Raises OSError."""
    folder = publish.make_folder(directory / DIRECTORY)
    publish.publish(folder / file_name(time), page)
    oldest, size = file_name(time - MAX_DAYS * 86400), 0
    for place, name in enumerate(sorted(list_kept(directory), reverse=True)):
        path = folder / name
        with contextlib.suppress(OSError):  # anything may have such a name
            size += path.stat().st_size
            if place >= MAX_PAGES or size > _MAX_SIZE or name < oldest:
                path.unlink()
