"""What changed in the last days: failures, recoveries, maintenance, kills of the watchdog, runs cut off or missing."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from healthchecks.plugin.dashboard.kills import kills
from healthchecks.plugin.dashboard.snapshot import Situation
from healthchecks.plugin.history import Change, Past, RunRecord
from healthchecks.plugin.history.models import Kind
from healthchecks.plugin.history.queries import CHANGES_DAYS, DAY
from servermonitoring.values import in_words

_MISSING = 2.5  # intervals without a run, from which runs are missing
_ENOUGH = 5  # runs, to say what is missing
_MOST = 60  # entries on the page
_ALONE = 3  # checks that change alike in one run and are still told one by one
_LONGEST = 200  # characters of a message


class Entry(NamedTuple):
    """One line of the list."""

    time: float  # unix seconds
    colour: str  # a class of the page: failed, ok, blocked, maintenance, unknown
    word: str
    names: tuple[tuple[str, tuple[str, str]], ...]  # label and key of the checks it is about
    text: str
    run: int | None  # of the run whose page tells more


def entries(situation: Situation, shown: Sequence[Past]) -> tuple[list[Entry], int]:
    """The newest first, and how many older ones are left out."""
    since = situation.now - CHANGES_DAYS * DAY
    of_checks = (each for past in shown for each in _of_check(past) if each.time > since)
    found = [
        *_together(of_checks),
        *_of_runs(situation.memory.runs, situation.usual_interval),
        *_of_watchdog(situation, since),
    ]
    found.sort(key=lambda each: each.time, reverse=True)
    return found[:_MOST], max(0, len(found) - _MOST)


def _of_check(past: Past) -> Iterator[Entry]:
    names = ((past.label, past.key),)
    began = 0  # when it became what it is no more
    for each in past.changes:
        colour, word, text = _in_words(each, began)
        yield Entry(each.time, colour, word, names, text, each.time)
        began = each.time if each.kind else began


def _in_words(change: Change, began: int) -> tuple[str, str, str]:
    """Colour, word and text."""
    if change.kind is None:
        return "maintenance", "in maintenance" if change.maintenance else "maintenance over", ""
    if change.kind is Kind.WELL:
        was = "failing" if change.before is Kind.FAILING else "blocked"
        return "ok", "well again", f"was {was} for {in_words(change.time - began)}" if began else f"was {was}"
    if change.kind is Kind.BLOCKED:
        return "blocked", "blocked", change.message[:_LONGEST]
    colour, word = ("maintenance", "fails in maintenance") if change.maintenance else ("failed", "fails")
    return colour, word, change.message[:_LONGEST]


def _together(found: Iterable[Entry]) -> Iterator[Entry]:
    """Many that change alike in one run are one entry."""
    ordered = sorted(found, key=lambda each: (each.time, each.word))
    for _, group in itertools.groupby(ordered, key=lambda each: (each.time, each.word)):
        several = list(group)
        if len(several) <= _ALONE:
            yield from several
        else:
            names = tuple(name for each in several for name in each.names)
            text = several[0].text if len({each.text for each in several}) == 1 else ""
            yield several[0]._replace(names=names, text=text)


def _of_runs(runs: Sequence[RunRecord], interval: float | None) -> Iterator[Entry]:
    for each in runs:
        if each.interrupted:
            text = f"after {in_words(each.seconds)}: not all checks were judged"
            yield Entry(each.time, "unknown", "run cut off", (), text, each.time)
    if interval is None or len(runs) < _ENOUGH:
        return
    for before, after in itertools.pairwise(runs):
        if after.time - before.time > max(60.0, _MISSING * interval):
            text = f"for {in_words(after.time - before.time)}; usually they come every {in_words(round(interval))}"
            yield Entry(before.time + 1, "unknown", "no runs", (), text, None)


def _of_watchdog(situation: Situation, since: float) -> Iterator[Entry]:
    if situation.state_directory:
        for each in kills(situation.state_directory, since, situation.now + situation.seconds + 60):
            text = f"{each.name}: {each.message}" if each.name else each.message
            yield Entry(each.time, "unknown", "watchdog killed", (), text, None)


def is_eventful(situation: Situation) -> bool:
    """Whether this run's page is worth keeping: something changed in it, or it was cut off."""
    this = situation.memory.runs[-1].time if situation.memory.runs else None
    return situation.interrupted or any(each.time == this for past in situation.memory.pasts for each in past.changes)
