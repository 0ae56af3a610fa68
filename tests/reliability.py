"""Which test holds which promise: docs/reliability.md lists all tests that are marked.

@reliability("Checks", fault="a website's JSON holds a lone surrogate", promise="every result of the run is stored")
def test_lone_surrogate_is_stored(run_suite, website): ...
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import pytest

T = TypeVar("T", bound=Callable[..., object])

AREAS = {
    "Scheduled runs": "The monitor itself cannot run: the schedule says so.",
    "Checks": "One check never harms another, and no check passes that did not run.",
    "Authors": "Mistakes in a check of your own.",
    "Alerts": "Alert state, delivery, and receivers that refuse.",
    "History": "The history file is damaged, foreign or out of reach.",
    "Secrets": "Credentials go to the configured origin only, and into no output.",
    "Configuration": "Values out of range, files that are no files, and what errors say.",
    "Signals": "A run is ended from outside.",
    "Plugins and options": "Other plugins, hooks of users, and options of pytest.",
    "Files": "Files and directories that others made, or may change.",
    "Browsers": "Processes, profiles and downloads that a browser check could leave.",
    "Watchdog": "Healthy browsers live whatever happens, hung ones end with everything they started.",
    "Messages": "Status and message of a check, where peers answer in unusual ways.",
}

_INTRODUCTION = """# Reliability

What can go wrong with the monitor itself, what it promises then, and the test that holds it to that.
Generated from the tests by `ci/reliability`; a test compares the two.
"""


@dataclass(frozen=True)
class Promise:
    """One row of docs/reliability.md."""

    area: str
    fault: str
    promise: str
    test: str


def reliability(area: str, *, fault: str, promise: str) -> Callable[[T], T]:
    """Mark a test as the one that holds a promise. Raise KeyError for an area that AREAS does not name."""
    AREAS[area]
    mark: Callable[[T], T] = pytest.mark.reliability(area, fault, promise)
    return mark


def promises(items: Iterable[pytest.Item]) -> list[Promise]:
    """Return the promises of collected tests, each once, by area and in the order of the files."""
    found: dict[Promise, None] = {}
    for item in items:
        test = item.nodeid.partition("[")[0]
        for mark in item.iter_markers("reliability"):
            found.setdefault(Promise(*mark.args, test))
    order = list(AREAS)
    return sorted(found, key=lambda each: (order.index(each.area), each.test))


def as_markdown(rows: Iterable[Promise]) -> str:
    """Return the text of docs/reliability.md."""
    parts, rows = [_INTRODUCTION], list(rows)
    for area, text in AREAS.items():
        mine = [each for each in rows if each.area == area]
        if mine:
            lines = [f"| {_cell(each.fault)} | {_cell(each.promise)} | `{each.test}` |" for each in mine]
            head = f"\n## {area}\n\n{text}\n\n| fault | promise | test |\n|---|---|---|\n"
            parts.append(head + "\n".join(lines) + "\n")
    return "".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
