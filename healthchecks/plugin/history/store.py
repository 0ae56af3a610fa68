"""One run goes in, whole or not at all; what alerts and page ask for comes out."""

import contextlib
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from healthchecks.plugin.history import database
from healthchecks.plugin.history.models import Course, FinishedRun, Kind, Point, kind_of
from healthchecks.plugin.result import Result, Status

NAMES = tuple(Status)  # the status of each code; stored as their place here: append only
WELL = tuple(code for code, status in enumerate(NAMES) if status.is_well)
_CODES = {status: code for code, status in enumerate(NAMES)}
_REFUSED = (ValueError, TypeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError)
_FORGOTTEN_AT_ONCE = 3  # runs: so a clock that is years ahead for a while cannot wipe out the history
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


class UnstorableError(ValueError):
    """A run with a value that no column takes, now or later."""


class History:
    """Opened for one run. Raises sqlite3.Error and OSError from every method: the caller tells of it."""

    def __init__(self, directory: Path, days: int) -> None:
        self.path = directory / database.NAME
        self.days = days
        self.connection = database.connect(self.path)
        """For tables of others in the same file, such as the state of the alerts."""

    def store(self, results: Iterable[Result], started: datetime, seconds: float, *, interrupted: bool) -> None:
        """Keep these results as a run."""
        self.add(FinishedRun([*results], started, seconds, interrupted))

    def add(self, run: FinishedRun) -> bool:
        """Keep one run, and drop what is older than `days`; False for one that was stored before.

        Raises UnstorableError, too.
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
            (moment, run.seconds, run.interrupted, run.name),
        )
        self.connection.executemany(
            "INSERT INTO results (check_id, time, status, seconds, message, maintenance) VALUES (?, ?, ?, ?, ?, ?)",
            [self._row(each, moment) for each in run.results],
        )
        self._forget(moment - int(timedelta(days=self.days).total_seconds()))
        return True

    def course(self, key: tuple[str, str]) -> Course | None:
        """Since when a check has been as it was last seen, in how many runs in a row; None if never judged."""
        row = self.connection.execute(
            "SELECT since, streak, kind FROM checks WHERE name = ? AND target = ? AND kind IS NOT NULL", key
        ).fetchone()
        return Course(datetime.fromtimestamp(row[0], UTC), row[1], Kind(row[2])) if row else None

    def courses(self, results: Iterable[Result]) -> Mapping[tuple[str, str], Course]:
        """The same for each of these checks; those that were skipped have none."""
        judged = (each for each in results if each.status is not Status.SKIPPED)
        return {each.key: course for each in judged if (course := self.course(each.key))}

    def recent(self, key: tuple[str, str], count: int) -> list[Point]:
        """The last results of a check, newest first; before `store` those before this run."""
        rows = self.connection.execute(
            "SELECT time, status, seconds, message, maintenance FROM results"
            " WHERE check_id = (SELECT id FROM checks WHERE name = ? AND target = ?) ORDER BY time DESC LIMIT ?",
            (*key, count),
        )
        return [point(*row) for row in rows]

    def close(self) -> None:
        self.connection.close()

    def _moment(self, started: datetime) -> int:
        """The run's second; the next free one if another run began in it."""
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
        return check, moment, _CODES[result.status], result.seconds, result.message, result.maintenance

    def _forget(self, oldest: int) -> None:
        old = self.connection.execute(
            "SELECT time FROM runs WHERE time < ? ORDER BY time LIMIT ?", (oldest, _FORGOTTEN_AT_ONCE)
        ).fetchall()
        for moment in old:
            self.connection.execute(
                "DELETE FROM results WHERE check_id IN (SELECT id FROM checks) AND time = ?", moment
            )
            self.connection.execute("DELETE FROM runs WHERE time = ?", moment)
        if old:
            self.connection.execute(
                "DELETE FROM checks WHERE seen < ? AND NOT EXISTS (SELECT 1 FROM results WHERE check_id = id)",
                (oldest,),
            )


def point(time: int, status: int, seconds: float, message: str, maintenance: int) -> Point:
    """From a row; a status that only a newer version knows is as good as none.

    Raises ValueError and TypeError for what nobody stored: SQLite gives whatever a damaged page holds.
    """
    if not (isinstance(message, str) and isinstance(time, int) and math.isfinite(seconds)):
        raise TypeError(f"{str(message)[:40]!r} at {str(time)[:40]} is no result")
    known = NAMES[status] if 0 <= status < len(NAMES) else Status.SKIPPED
    return Point(time, known, seconds, message, bool(maintenance))


@contextlib.contextmanager
def opened(directory: Path, days: int) -> Iterator[History]:
    """The history, closed again at the end."""
    history = History(directory, days)
    try:
        yield history
    finally:
        history.close()
