"""The whole page: the context of its template.

The table of the last run is made from the data of pytest-html: rows, logs and pictures, without its script.
"""

import base64
import binascii
import html
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from healthchecks.plugin.dashboard import publication
from healthchecks.plugin.dashboard.card import Card
from healthchecks.plugin.dashboard.overview import Overview, list_unconfigured
from healthchecks.plugin.dashboard.peer_group import PeerRow
from healthchecks.plugin.dashboard.run_charts import make_script_data
from healthchecks.plugin.dashboard.snapshot import Snapshot, is_eventful, list_changes
from healthchecks.plugin.dashboard.template import render
from healthchecks.plugin.history.queries import BARS, CHANGES_DAYS, GONE_DAYS
from healthchecks.plugin.wording import CardStatus
from servermonitoring.files import read_regular

NAME = "database.html"
_HEAD = 4096  # bytes with the description, as base.html.j2 writes it
_DESCRIPTION = re.compile(r'<meta name="description" content="([^"]*)"')


class LinkedPage(NamedTuple):
    """The page of the reports."""

    name: str
    written: float  # unix seconds
    headline: str


def find_reports(directory: Path | None) -> LinkedPage | None:
    """Return the page of the reports; None if there is none."""
    if directory is None:
        return None
    try:
        head = read_regular(directory / NAME, _HEAD, part="start").decode(errors="replace")
        written = (directory / NAME).stat().st_mtime
    except OSError:
        return None
    match = _DESCRIPTION.search(head)
    return LinkedPage(NAME, written, html.unescape(match[1]) if match else "")


STYLES = ("page.css", "status.css")
SCRIPTS = ("page.js", "status.js")


class Pages(NamedTuple):
    """The page, and its copy for `runs/`."""

    newest: str
    archived: str


def make(snapshot: Snapshot, shown: Overview, report: Mapping[str, Any], test_data: Mapping[str, Any]) -> Pages:
    """Return the page; `report` and `test_data` are pytest-html's context and rows. Raises OSError."""
    root, archived = secrets.token_hex(16), secrets.token_hex(16)  # replaced below; text from outside cannot guess them
    rows: list[Card | PeerRow] = [*shown.cards, *(row for peer in shown.peers for row in peer.rows)]
    page = render(
        "status.html.j2",
        styles=STYLES,
        scripts=SCRIPTS,
        state=snapshot.state_directory,
        title=f"{shown.headline} · {snapshot.host}",
        headline=shown.headline,
        mood=shown.mood,
        classes=f"{'many' if shown.has_many_checks else ''} {archived}",
        root=root,
        snapshot=snapshot,
        overview=shown,
        statuses_found=_list_statuses(rows),
        row_count=len(rows),
        most_bars=BARS,
        unconfigured=list_unconfigured(snapshot.results),
        cut_off=_describe_cut(snapshot),
        reports=find_reports(snapshot.page_directory),
        zone=time.strftime("%Z", time.localtime(snapshot.now)),
        changes_days=CHANGES_DAYS,
        gone_days=GONE_DAYS,
        version=report["version"],
        **_make_changes(snapshot, shown),
        **_make_last_run(report, test_data),
        data=_make_data(shown.cards),
    )
    return Pages(page.replace(root, "").replace(archived, ""), page.replace(root, "../").replace(archived, "archived"))


def _list_statuses(rows: Sequence[Card | PeerRow]) -> list[tuple[str, str, int]]:
    """Return the options of the filter: statuses, word, number of checks."""
    counts = Counter("maintenance" if each.maintenance else str(each.status) for each in rows)
    problems = sorted(counts.keys() - {CardStatus.OK, CardStatus.SLOW, CardStatus.SKIPPED})
    options = [(" ".join(problems), "problems", sum(counts[each] for each in problems))] if problems else []
    options += [(str(each), each.word, counts[each]) for each in CardStatus if counts[each]]
    return options + [("maintenance", "in maintenance", counts["maintenance"])] * bool(counts["maintenance"])


def _describe_cut(snapshot: Snapshot) -> str:
    count = len(snapshot.pending)
    if not count:
        return "All checks had a result when the run was cut off."
    if count == 1:
        return "The check without a result shows an earlier status."
    return f"The {count} checks without a result show an earlier status."


def _make_changes(snapshot: Snapshot, shown: Overview) -> dict[str, Any]:
    cards = {each.key for each in shown.cards}
    found, left_out = list_changes(snapshot, [each for each in snapshot.history.checks if each.key in cards])
    kept = publication.list_run_pages(snapshot.page_directory) if snapshot.page_directory else set()
    if snapshot.history.runs and is_eventful(snapshot):
        kept.add(publication.run_page_name(snapshot.history.runs[-1].time))  # this one will be
    return {
        "changes": found, "left_out": left_out, "kept": kept,
        "names_of": {each.run: publication.run_page_name(each.run) for each in found if each.run},
        "ids": {each.key: each.id for each in shown.cards},
    }  # fmt: skip


def _make_data(cards: Iterable[Card]) -> Markup:
    """Return JSON that cannot end a <script>."""
    found = make_script_data({each.id: (each.recent, each.stretches) for each in cards})
    text = json.dumps(found | {"bars": BARS}, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _make_last_run(report: Mapping[str, Any], test_data: Mapping[str, Any]) -> dict[str, Any]:
    head, rows = _drop_empty_links(report["table_head"], _list_rows(test_data))
    added = report["additional_summary"]
    return {
        "rows": rows,
        "rows_by_node": {row.node: place for place, row in enumerate(rows, 1)},
        "table_head": [Markup(each) for each in head],  # noqa: S704 - from pytest-html and the user's hooks
        "run_count": report["run_count"],
        "summaries": [Markup(each) for part in ("prefix", "summary", "postfix") for each in added[part]],  # noqa: S704 - the same
    }


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


def _list_rows(data: Mapping[str, Any]) -> list[Row]:
    """Return the rows in the order of pytest-html: failures first."""
    found = [_make_row(node, test) for node, tests in data["tests"].items() for test in tests]
    return sorted(found, key=lambda row: _RESULTS.index(row.result) if row.result in _RESULTS else len(_RESULTS))


def _drop_empty_links(head: list[str], found: list[Row]) -> tuple[list[str], list[Row]]:
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
