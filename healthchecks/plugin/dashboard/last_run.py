"""The table of the last run, from the data of pytest-html: rows, logs and pictures, without its script."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

_NOTHING = "No log output captured."
_MAX_SHOWN = 20_000  # characters of a text; a longer one can only be saved
_RESULTS = ("failed", "error", "skipped", "passed")


class AttachedText(NamedTuple):
    """An attachment to read or save."""

    name: str
    link: str
    content: str


class Row(NamedTuple):
    """One test. `cells` and `log` are HTML from pytest-html and from hooks of the user."""

    node: str
    result: str
    cells: list[Markup]
    log: Markup
    pictures: list[tuple[str, str]]
    texts: list[AttachedText]


def list_rows(data: Mapping[str, Any]) -> list[Row]:
    """Return the rows in the order of pytest-html: failures first."""
    found = [_make_row(node, test) for node, tests in data["tests"].items() for test in tests]
    return sorted(found, key=lambda row: _RESULTS.index(row.result) if row.result in _RESULTS else len(_RESULTS))


def drop_empty_links(head: list[str], found: list[Row]) -> tuple[list[str], list[Row]]:
    """Return head and rows of the table, without the column of links if there is none."""
    place = next((place for place, cell in enumerate(head) if ">Links<" in cell), None)
    if place is None or any(len(row.cells) != len(head) or "<a " in row.cells[place] for row in found):
        return head, found
    return [*head[:place], *head[place + 1 :]], [
        row._replace(cells=[*row.cells[:place], *row.cells[place + 1 :]]) for row in found
    ]


def _make_row(node: str, test: Mapping[str, Any]) -> Row:
    log = test["log"].strip()
    return Row(
        node=node,
        result=re.sub(r"\W", "", str(test.get("result", ""))).lower(),
        cells=[Markup(cell) for cell in test["resultsTableRow"]],  # noqa: S704 - pytest-html's, with ids escaped by us
        log=Markup("" if log == _NOTHING else log),  # noqa: S704 - pytest-html has escaped it
        pictures=[(each["name"], each["content"]) for each in test["extras"] if each["format_type"] == "image"],
        texts=list(_list_texts(test["extras"])),
    )


def _list_texts(extras: list[dict[str, Any]]) -> Iterator[AttachedText]:
    for each in extras:
        if each["format_type"] in ("text", "json", "url"):
            content = _decode(each["content"])
            yield AttachedText(each["name"], each["content"], content if len(content) <= _MAX_SHOWN else "")


def _decode(link: str) -> str:
    """Return the text of a data: URL; nothing for another URL."""
    head, _, data = link.partition(";base64,")
    if not head.startswith("data:"):
        return ""
    try:
        return base64.b64decode(data).decode(errors="replace")
    except binascii.Error:
        return ""
