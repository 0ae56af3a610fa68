"""The page of the SQL reports, which is made by runs of its own: how old it is, and what it says."""

import html
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

NAME = "database.html"
_HEAD = 4096  # bytes in which its description stands, as base.html.j2 writes it
_DESCRIPTION = re.compile(r'<meta name="description" content="([^"]*)"')


class OtherPage(NamedTuple):
    name: str
    written: float  # unix seconds
    headline: str


def other_page(directory: Path | None) -> OtherPage | None:
    """None where there is no such page."""
    if directory is None:
        return None
    try:
        descriptor = os.open(directory / NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        match = _DESCRIPTION.search(file.read(_HEAD).decode(errors="replace"))
        return OtherPage(NAME, status.st_mtime, html.unescape(match[1]) if match else "")
