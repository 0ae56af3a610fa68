"""The page of the SQL reports, which is made by runs of its own: how old it is, and what it says."""

import html
import re
from pathlib import Path
from typing import NamedTuple

from servermonitoring.files import read_regular

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
        head = read_regular(directory / NAME, _HEAD, part="start").decode(errors="replace")
        written = (directory / NAME).stat().st_mtime
    except OSError:
        return None
    match = _DESCRIPTION.search(head)
    return OtherPage(NAME, written, html.unescape(match[1]) if match else "")
