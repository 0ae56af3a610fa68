"""Keeps title and text of a page whose check fails, for the dashboard and the alert."""

import contextlib
from collections.abc import Iterator
from typing import Any

from healthchecks import Unhealthy, attach
from healthchecks.clients.http.client import Response
from servermonitoring.scrubbing import scrub_and_cut

_MOST_READ = 65_536  # characters of the page that are parsed
_MOST_KEPT = 2_000  # characters of its text
_UNSEEN = "//script | //style | //template | //head"


@contextlib.contextmanager
def attach_on_failure(page: Response) -> Iterator[None]:
    """Attach title and text of the page where the block fails."""
    try:
        yield
    except (AssertionError, Unhealthy):
        attach("page", excerpt(page))
        raise


def excerpt(page: Response) -> str:
    """Return status, URL, title, and the beginning of the visible text."""
    title, text = _read(page)
    lines = [
        f"{page.status_line} at {page.location}",
        f"title: {title}" if title else "",
        scrub_and_cut(text, _MOST_KEPT),
    ]
    return "\n".join(filter(None, lines))


def _read(page: Response) -> tuple[str, str]:
    beginning = page.text[:_MOST_READ]
    if "<" not in beginning or "json" in page.headers.get("Content-Type", ""):
        return "", beginning
    from lxml import etree, html

    try:
        parser = html.HTMLParser(encoding="utf-8")
        document: Any = html.document_fromstring(beginning.encode(errors="replace"), parser=parser)
    except etree.LxmlError:  # an empty page
        return "", beginning
    title = " ".join(str(document.xpath("string(//title)")).split())
    for element in document.xpath(_UNSEEN):
        element.drop_tree()
    lines = (" ".join(line.split()) for line in document.text_content().splitlines())
    return scrub_and_cut(title, 200), "\n".join(filter(None, lines))
