"""The runs in the history: what is stored of them and read from it; each is stored completely or not at all."""

import contextlib
import enum
import math
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from healthchecks.plugin.history import archive, database, metrics
from healthchecks.plugin.history.metrics import MetricHistory
from healthchecks.plugin.result import Result, Status


class Kind(enum.StrEnum):
    """What a result means for the service: a change of it is shown and alerted."""

    PASSING = "passing"
    FAILING = "failing"
    BLOCKED = "blocked"


_KINDS = {
    Status.OK: Kind.PASSING, Status.SLOW: Kind.PASSING, Status.FAILED: Kind.FAILING, Status.ERROR: Kind.FAILING,
    Status.BLOCKED: Kind.BLOCKED,
}  # fmt: skip


def kind_of(status: Status) -> Kind | None:
    """Return the kind; None for a skipped check, which changes nothing and continues nothing."""
    return _KINDS.get(status)


PART = "part-"  # prefix of the name of a run that ran a part of the checks only


def run_name(*, is_part: bool = False) -> str:
    """Return a unique name, by which a run is stored once whatever happens."""
    return f"{PART if is_part else ''}{os.getpid()}-{secrets.token_hex(8)}"


@dataclass(frozen=True)
class FinishedRun:
    """One run, as it is stored."""

    results: Sequence[Result]
    started: datetime
    duration: float
    interrupted: bool = False
    name: str = field(default_factory=run_name)


@dataclass(frozen=True)
class Streak:
    """How long a check has been in its present state: since when, in how many runs in a row."""

    since: datetime
    runs: int
    kind: Kind


class Point(NamedTuple):
    """One earlier result."""

    time: int  # unix seconds, when its run began
    status: Status
    duration: float  # what the probe took
    message: str
    maintenance: bool

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)


class Uptime(NamedTuple):
    """How many runs had a result of a check, and in how many it passed. Maintenance, blocked, skipped do not count."""

    passed: int
    total: int

    @property
    def share(self) -> float | None:
        """0 to 1; None if there was no result."""
        return self.passed / self.total if self.total else None


class RunRecord(NamedTuple):
    """One earlier run."""

    time: int  # unix seconds
    duration: float
    interrupted: bool
    is_part: bool = False  # it ran a part of the checks


class Change(NamedTuple):
    """A change of a check's kind, or of its maintenance."""

    time: int  # unix seconds
    kind: Kind | None  # None: only the maintenance began or ended
    before: Kind | None  # None: it had no result before
    maintenance: bool
    message: str
    lasted: int | None  # seconds until the next change; None: it lasts


@dataclass(frozen=True)
class CheckHistory:
    """What the page shows of one check."""

    check: str
    target: str
    label: str
    group: str
    reference: str  # as in `needs`; empty for a check that only version 0.1 stored
    recent: Sequence[Point]  # the last ones, oldest first
    uptimes: Mapping[int, Uptime]  # by days
    usual: tuple[float, float] | None  # seconds: the range of the middle eight tenths of the last days
    interval: float | None  # seconds between two results, usually
    changes: Sequence[Change]  # of the last days, oldest first
    streak: Streak | None
    metrics: Sequence[MetricHistory] = ()
    """The main one first, which alone has all points; the others have the last one."""

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target


NAMES = tuple(Status)  # the status of each code; stored as their place here: append only
PASSING = tuple(code for code, status in enumerate(NAMES) if status.is_passing)
_CODES = {status: code for code, status in enumerate(NAMES)}
_REFUSED = (ValueError, TypeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError)
_NEVER = 2**60  # unix seconds
_MOST_DROPPED = 3  # runs at once: a clock that is years ahead for a while must not empty the history
_UPSERT = """
INSERT INTO checks (name, target, label, heading, reference, seen, kind, since, streak)
VALUES (:name, :target, :label, :heading, :reference, :time, :kind, iif(:kind IS NULL, NULL, :time), :kind IS NOT NULL)
ON CONFLICT (name, target) DO UPDATE SET
    label = :label, heading = :heading, reference = :reference, seen = :time,
    since = iif(:kind IS NULL OR :kind = kind, since, :time),
    streak = iif(:kind IS NULL, streak, iif(:kind = kind, streak + 1, 1)),
    kind = coalesce(:kind, kind)
RETURNING id
"""


_DROP_CHECKS = """
DELETE FROM checks WHERE seen < ? AND NOT EXISTS (SELECT 1 FROM results WHERE check_id = checks.id)
    AND NOT EXISTS (SELECT 1 FROM result_days WHERE check_id = checks.id)
    AND NOT EXISTS (SELECT 1 FROM metrics WHERE check_id = checks.id)
"""


class UnstorableError(ValueError):
    """A run with a value that no column takes, now or later."""


class History:
    """The history, open for one run. Every method may raise sqlite3.Error and OSError."""

    def __init__(self, directory: Path, days: int) -> None:
        self.path = directory / database.NAME
        self.days = days
        self.connection = database.connect(self.path)
        """For queries."""

    def add(self, run: FinishedRun) -> bool:
        """Store one run, and drop what is older than `days`; return False for one that was stored before.

        Raise UnstorableError, too.
        """
        try:
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                return self._add(run)
        except sqlite3.IntegrityError as error:
            if database.is_damaged(error):
                raise
            raise UnstorableError(str(error)) from error
        except _REFUSED as error:
            raise UnstorableError(str(error)) from error

    def _add(self, run: FinishedRun) -> bool:
        if self.connection.execute("SELECT 1 FROM runs WHERE name = ?", (run.name,)).fetchone():
            return False
        moment = self._moment(run.started)
        self.connection.execute(
            "INSERT INTO runs (time, seconds, interrupted, name) VALUES (?, ?, ?, ?)",
            (moment, run.duration, run.interrupted, run.name),
        )
        rows = [self._row(each, moment) for each in run.results]
        self.connection.executemany(
            "INSERT INTO results (check_id, time, status, seconds, message, maintenance) VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        metrics.add(self.connection, moment, [(row[0], each) for row, each in zip(rows, run.results, strict=True)])
        metrics.roll_up(self.connection, moment, self.days)
        self._drop_old(moment - int(timedelta(days=self.days).total_seconds()))
        archive.pack_old(self.connection, moment)
        return True

    def streak(self, key: tuple[str, str]) -> Streak | None:
        """Return since when, and in how many runs in a row, a check has its last kind; None if it had no result."""
        row = self.connection.execute(
            "SELECT since, streak, kind FROM checks WHERE name = ? AND target = ? AND kind IS NOT NULL", key
        ).fetchone()
        return Streak(datetime.fromtimestamp(row[0], UTC), row[1], Kind(row[2])) if row else None

    def streaks(self, results: Iterable[Result]) -> Mapping[tuple[str, str], Streak]:
        """Return the same for each of these checks; those that were skipped have none."""
        found = (each for each in results if each.status is not Status.SKIPPED)
        return {each.key: streak for each in found if (streak := self.streak(each.key))}

    def recent(self, key: tuple[str, str], count: int) -> list[Point]:
        """Return the last results of a check, newest first; before `add` those before this run."""
        found = self.connection.execute("SELECT id FROM checks WHERE name = ? AND target = ?", key).fetchone()
        rows = archive.last_rows(self.connection, found[0], _NEVER, count) if found else []
        return points(rows)[::-1]

    def close(self) -> None:
        self.connection.close()

    def _moment(self, started: datetime) -> int:
        """Return the run's second; the next free one if another run began in it."""
        moment = int(started.timestamp())
        while self.connection.execute("SELECT 1 FROM runs WHERE time = ?", (moment,)).fetchone():
            moment += 1
        return moment

    def _row(self, result: Result, moment: int) -> tuple[int, int, int, float, str, bool]:
        facts = {
            "name": result.check, "target": result.target, "label": result.label, "heading": result.group,
            "reference": str(result.extras.get("reference", "")), "time": moment, "kind": kind_of(result.status),
        }  # fmt: skip
        check = int(self.connection.execute(_UPSERT, facts).fetchone()[0])
        return check, moment, _CODES[result.status], round(result.duration, 6), result.message, result.maintenance

    def _drop_old(self, oldest: int) -> None:
        old = self.connection.execute(
            "SELECT time FROM runs WHERE time < ? ORDER BY time LIMIT ?", (oldest, _MOST_DROPPED)
        ).fetchall()
        for moment in old:
            self.connection.execute(
                "DELETE FROM results WHERE check_id IN (SELECT id FROM checks) AND time = ?", moment
            )
            self.connection.execute("DELETE FROM runs WHERE time = ?", moment)
        if old:
            archive.drop_days(self.connection, [each for (each,) in old])
            metrics.drop_unused(self.connection, oldest)
            self.connection.execute(_DROP_CHECKS, (oldest,))


_NAMED = dict(enumerate(NAMES))
_make_point = partial(tuple.__new__, Point)


def points(rows: Sequence[archive.Row]) -> list[Point]:
    """Return the results in rows, of which the page has many, as `point` does."""
    if not rows:
        return []
    times, statuses, durations, messages, maintenances = zip(*rows, strict=True)
    if {*map(type, times)} != {int} or {*map(type, messages)} != {str} or not all(map(math.isfinite, durations)):
        return [point(*row) for row in rows]
    named = [_NAMED.get(each, Status.SKIPPED) for each in statuses]
    return list(map(_make_point, zip(times, named, durations, messages, map(bool, maintenances), strict=True)))


def point(time: int, status: int, duration: float, message: str, maintenance: int) -> Point:
    """Return the result in a row; a status that only a newer version knows becomes SKIPPED.

    Raise ValueError and TypeError for values that no run stored: SQLite returns whatever a damaged page has.
    """
    if not (isinstance(message, str) and isinstance(time, int) and math.isfinite(duration)):
        raise TypeError(f"{str(message)[:40]!r} at {str(time)[:40]} is no result")
    known = NAMES[status] if 0 <= status < len(NAMES) else Status.SKIPPED
    return Point(time, known, duration, message, bool(maintenance))


@contextlib.contextmanager
def opened(directory: Path, days: int) -> Iterator[History]:
    """Open the history, and close it at the end."""
    history = History(directory, days)
    try:
        yield history
    finally:
        history.close()
