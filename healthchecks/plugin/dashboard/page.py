"""The page as a whole: what the template gets."""

import html
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from healthchecks.plugin.dashboard import archive, changes, last_run
from healthchecks.plugin.dashboard.overview import Overview, unconfigured
from healthchecks.plugin.dashboard.run_charts import for_script
from healthchecks.plugin.dashboard.snapshot import Situation
from healthchecks.plugin.dashboard.template import render
from healthchecks.plugin.history.queries import BARS, CHANGES_DAYS, GONE_DAYS
from healthchecks.plugin.wording import State
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


STYLES = ("page.css", "status.css")
SCRIPTS = ("page.js", "status.js")


class Pages(NamedTuple):
    """The page, and the same as it is kept in `runs/`."""

    newest: str
    kept: str


def make(situation: Situation, shown: Overview, report: Mapping[str, Any], test_data: Mapping[str, Any]) -> Pages:
    """`report` is what pytest-html hands to its template, `test_data` its rows. Raises OSError."""
    root, archived = secrets.token_hex(16), secrets.token_hex(16)  # replaced below: text from outside cannot know them
    page = render(
        "status.html.j2",
        styles=STYLES,
        scripts=SCRIPTS,
        state=situation.state_directory,
        title=f"{shown.headline} · {situation.host}",
        headline=shown.headline,
        mood=shown.mood,
        classes=f"{'many' if shown.are_many else ''} {archived}",
        root=root,
        situation=situation,
        overview=shown,
        states=_states(shown),
        unconfigured=unconfigured(situation.results),
        cut_off=_cut_off(situation),
        other=other_page(situation.page_directory),
        zone=time.strftime("%Z", time.localtime(situation.now)),
        changes_days=CHANGES_DAYS,
        gone_days=GONE_DAYS,
        version=report["version"],
        **_changes(situation, shown),
        **_last_run(report, test_data),
        data=_for_script({each.id: each.recent for each in shown.cards}),
    )
    return Pages(page.replace(root, "").replace(archived, ""), page.replace(root, "../").replace(archived, "archived"))


def _states(shown: Overview) -> list[tuple[str, str, int]]:
    """The choices of the filter: class, word, number."""
    counts = Counter("maintenance" if each.maintenance else str(each.state) for each in shown.cards)
    bad = sum(count for state, count in counts.items() if state not in ("ok", "slow", "skipped"))
    several = [(" ".join(sorted(counts.keys() - {"ok", "slow", "skipped"})), "not well", bad)] if bad else []
    each = [(str(state), state.word, counts[state]) for state in State if counts[state]]
    return several + each + [("maintenance", "in maintenance", counts["maintenance"])] * bool(counts["maintenance"])


def _cut_off(situation: Situation) -> str:
    count = len(situation.unjudged)
    if not count:
        return "All checks had been judged when the run was cut off."
    if count == 1:
        return "The check that was not judged shows an earlier state."
    return f"The {count} checks that were not judged show an earlier state."


def _changes(situation: Situation, shown: Overview) -> dict[str, Any]:
    cards = {each.key for each in shown.cards}
    found, left_out = changes.entries(situation, [each for each in situation.memory.pasts if each.key in cards])
    kept = archive.kept(situation.page_directory) if situation.page_directory else set()
    if situation.memory.runs and changes.is_eventful(situation):
        kept.add(archive.name_of(situation.memory.runs[-1].time))  # this one is about to be
    return {
        "entries": found, "left_out": left_out, "kept": kept,
        "names_of": {each.run: archive.name_of(each.run) for each in found if each.run},
        "ids": {each.key: each.id for each in shown.cards},
    }  # fmt: skip


def _last_run(report: Mapping[str, Any], test_data: Mapping[str, Any]) -> dict[str, Any]:
    head, rows = last_run.without_empty_links(report["table_head"], last_run.rows(test_data))
    added = report["additional_summary"]
    return {
        "rows": rows,
        "rows_by_node": {row.node: place for place, row in enumerate(rows, 1)},
        "table_head": [Markup(each) for each in head],  # noqa: S704 - pytest-html's own, and user's hooks'
        "run_count": report["run_count"],
        "summaries": [Markup(each) for part in ("prefix", "summary", "postfix") for each in added[part]],  # noqa: S704 - the same
    }


def _for_script(points: Mapping[str, Sequence[Any]]) -> Markup:
    """JSON that ends no <script>."""
    text = json.dumps(for_script(points) | {"bars": BARS}, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above
