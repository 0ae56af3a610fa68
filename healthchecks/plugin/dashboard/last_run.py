"""The table of the last run, from what pytest-html has gathered: its rows, logs and pictures, without its script."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

_NOTHING = "No log output captured."
_SHOWN = 20_000  # characters of a text that is shown; a longer one is there to be saved
_RESULTS = ("failed", "error", "skipped", "passed")


class Text(NamedTuple):
    """Something attached, to be read or saved."""

    name: str
    link: str
    content: str


class Row(NamedTuple):
    """One test. `cells` and `log` are HTML that pytest-html, and hooks of the user, have made."""

    node: str
    result: str
    cells: list[Markup]
    log: Markup
    pictures: list[tuple[str, str]]
    texts: list[Text]


def rows(data: Mapping[str, Any]) -> list[Row]:
    """In the order of pytest-html's page: what failed first."""
    found = [_row(node, test) for node, tests in data["tests"].items() for test in tests]
    return sorted(found, key=lambda row: _RESULTS.index(row.result) if row.result in _RESULTS else len(_RESULTS))


def without_empty_links(head: list[str], found: list[Row]) -> tuple[list[str], list[Row]]:
    """The table's head and rows, without the column of links where it holds none."""
    place = next((place for place, cell in enumerate(head) if ">Links<" in cell), None)
    if place is None or any(len(row.cells) != len(head) or "<a " in row.cells[place] for row in found):
        return head, found
    return [*head[:place], *head[place + 1 :]], [
        row._replace(cells=[*row.cells[:place], *row.cells[place + 1 :]]) for row in found
    ]


def _row(node: str, test: Mapping[str, Any]) -> Row:
    log = test["log"].strip()
    return Row(
        node=node,
        result=re.sub(r"\W", "", str(test.get("result", ""))).lower(),
        cells=[Markup(cell) for cell in test["resultsTableRow"]],  # noqa: S704 - pytest-html's, with ids escaped by us
        log=Markup("" if log == _NOTHING else log),  # noqa: S704 - pytest-html has escaped it
        pictures=[(each["name"], each["content"]) for each in test["extras"] if each["format_type"] == "image"],
        texts=list(_texts(test["extras"])),
    )


def _texts(extras: list[dict[str, Any]]) -> Iterator[Text]:
    for each in extras:
        if each["format_type"] in ("text", "json", "url"):
            content = _decoded(each["content"])
            yield Text(each["name"], each["content"], content if len(content) <= _SHOWN else "")


def _decoded(link: str) -> str:
    """Of a data: URL; nothing for another."""
    head, _, data = link.partition(";base64,")
    if not head.startswith("data:"):
        return ""
    try:
        return base64.b64decode(data).decode(errors="replace")
    except binascii.Error:
        return ""
