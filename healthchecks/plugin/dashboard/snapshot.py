"""The snapshot of a run that the page is made from: its results, the history, and paths; and what changed in it.

Changes are failures, recoveries, maintenance, kills of the watchdog, runs cut off or missing.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from healthchecks.plugin.history import Change, CheckHistory, HistoryData, RunRecord
from healthchecks.plugin.history.archive import DAY
from healthchecks.plugin.history.queries import CHANGES_DAYS, interval_of
from healthchecks.plugin.history.store import Kind
from healthchecks.plugin.peer import Peers
from healthchecks.plugin.result import Result
from healthchecks.plugin.silence import Silences
from servermonitoring.values import in_words
from servermonitoring.watchdog_state import kills

_MIN_INTERVAL = 300.0  # seconds: more frequent runs are made by hand
UNKNOWN_INTERVAL = 86400.0  # seconds: assumed where too few runs are known


@dataclass(frozen=True)
class PendingCheck:
    """A check without a result because the run was cut off."""

    check: str
    target: str
    label: str
    group: str

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target


def _keep_all(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Snapshot:
    """All data of the page; times are in UTC."""

    results: Sequence[Result]
    history: HistoryData
    started: datetime
    duration: float
    """Seconds."""
    host: str
    interrupted: bool = False
    pending: Sequence[PendingCheck] = ()
    is_gone: Callable[[str], bool] = _keep_all
    """Whether the target with this reference (website.home) is no longer configured."""
    silences: Silences = field(default_factory=Silences)
    peers: Peers = field(default_factory=dict)
    runbooks: Mapping[str, str] = field(default_factory=dict)
    """Of the configured targets, by their references."""
    interval: float | None = None
    """Seconds from one run to the next, if configured."""
    state_directory: Path | None = None
    page_directory: Path | None = None
    notices: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """The start of the run in unix seconds."""
        return self.started.timestamp()

    @property
    def usual_interval(self) -> float | None:
        """Seconds from one complete run to the next: as configured, or the usual one; None for too few runs."""
        usual = interval_of([each.time for each in self.history.runs if not each.is_part])
        return self.interval or (max(usual, _MIN_INTERVAL) if usual else None)

    @property
    def late_after(self) -> float:
        """Seconds after which the page is too old: two intervals."""
        return 2 * (self.usual_interval or UNKNOWN_INTERVAL)


_MISSING = 2.5  # intervals without a run, after which runs are missing
_MIN_RUNS = 5  # to know which are missing
_MAX_CHANGES = 60  # on the page
_MAX_SEPARATE = 3  # checks with the same change in one run, listed one by one
_MAX_MESSAGE = 200  # characters
_MAX_READ = 1_000_000  # bytes from the end of the kills: some two thousand kills
_MAX_TEXT = 300  # characters of a text of a kill


class ListedChange(NamedTuple):
    """One line of the list."""

    time: float  # unix seconds
    colour: str  # a class of the page: failed, ok, blocked, maintenance, unknown
    word: str
    names: tuple[tuple[str, tuple[str, str]], ...]  # label and key of its checks
    text: str
    run: int | None  # the run with more about it on its page


def list_changes(snapshot: Snapshot, shown: Sequence[CheckHistory]) -> tuple[list[ListedChange], int]:
    """Return the changes, the newest first, and how many older ones are left out."""
    since = snapshot.now - CHANGES_DAYS * DAY
    of_checks = (each for past in shown for each in _list_of_check(past) if each.time > since)
    found = [
        *_group(of_checks),
        *_list_of_runs(snapshot.history.runs, snapshot.usual_interval),
        *_list_kills(snapshot, since),
    ]
    found.sort(key=lambda each: each.time, reverse=True)
    return found[:_MAX_CHANGES], max(0, len(found) - _MAX_CHANGES)


def _list_of_check(past: CheckHistory) -> Iterator[ListedChange]:
    names = ((past.label, past.key),)
    began = 0  # when the status before the change began
    for each in past.changes:
        colour, word, text = _describe(each, began)
        yield ListedChange(each.time, colour, word, names, text, each.time)
        began = each.time if each.kind else began


def _describe(change: Change, began: int) -> tuple[str, str, str]:
    """Return colour, word and text."""
    if change.kind is None:
        return "maintenance", "maintenance" if change.maintenance else "end of maintenance", ""
    if change.kind is Kind.PASSING:
        before = "failed" if change.before is Kind.FAILING else "blocked"
        return "ok", "recovery", f"{before} for {in_words(change.time - began)}" if began else f"{before} before"
    if change.kind is Kind.BLOCKED:
        return "blocked", "blocked", change.message[:_MAX_MESSAGE]
    colour, word = ("maintenance", "failure in maintenance") if change.maintenance else ("failed", "failure")
    return colour, word, change.message[:_MAX_MESSAGE]


def _group(found: Iterable[ListedChange]) -> Iterator[ListedChange]:
    """Yield the changes; many equal ones of one run are one."""
    ordered = sorted(found, key=lambda each: (each.time, each.word))
    for _, group in itertools.groupby(ordered, key=lambda each: (each.time, each.word)):
        several = list(group)
        if len(several) <= _MAX_SEPARATE:
            yield from several
        else:
            names = tuple(name for each in several for name in each.names)
            text = several[0].text if len({each.text for each in several}) == 1 else ""
            yield several[0]._replace(names=names, text=text)


def _list_of_runs(runs: Sequence[RunRecord], interval: float | None) -> Iterator[ListedChange]:
    for each in runs:
        if each.interrupted:
            text = f"after {in_words(each.duration)}: not all checks have a result"
            yield ListedChange(each.time, "unknown", "run cut off", (), text, each.time)
    if interval is None or len(runs) < _MIN_RUNS:
        return
    for before, after in itertools.pairwise(runs):
        if after.time - before.time > max(60.0, _MISSING * interval):
            text = f"for {in_words(after.time - before.time)}; the usual interval is {in_words(round(interval))}"
            yield ListedChange(before.time + 1, "unknown", "no runs", (), text, None)


def _list_kills(snapshot: Snapshot, since: float) -> Iterator[ListedChange]:
    """Yield the kills of the watchdog; those that cannot be read are left out."""
    if snapshot.state_directory:
        until = snapshot.now + snapshot.duration + 60
        found = kills(snapshot.state_directory, since, until, _MAX_READ)
        for each in sorted(found, key=lambda kill: kill.time):
            name, message = each.name[:_MAX_TEXT], each.message[:_MAX_TEXT]
            text = f"{name}: {message}" if name else message
            yield ListedChange(each.time, "unknown", "watchdog kill", (), text, None)


def is_eventful(snapshot: Snapshot) -> bool:
    """Return whether the page of this run is to be kept: something changed, or the run was cut off."""
    this = snapshot.history.runs[-1].time if snapshot.history.runs else None
    return snapshot.interrupted or any(each.time == this for past in snapshot.history.checks for each in past.changes)
