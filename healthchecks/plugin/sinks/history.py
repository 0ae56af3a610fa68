"""The history: one local SQLite file, since the page and the alerts must work while the main database is down."""

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from healthchecks.plugin.result import Result, Status

NAME = "history.sqlite"
_DAY = 86400
_CODES = {status: code for code, status in enumerate(Status)}  # stored as integers: append only
NAMES = tuple(Status)  # the status of each code
WELL = tuple(code for status, code in _CODES.items() if status.is_well)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS checks (id INTEGER PRIMARY KEY, name TEXT NOT NULL, target TEXT NOT NULL,
                                   UNIQUE (name, target));
CREATE TABLE IF NOT EXISTS runs (time INTEGER PRIMARY KEY, seconds REAL NOT NULL, interrupted INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS results (check_id INTEGER NOT NULL REFERENCES checks, time INTEGER NOT NULL,
                                    status INTEGER NOT NULL, seconds REAL NOT NULL, message TEXT NOT NULL,
                                    PRIMARY KEY (check_id, time)) WITHOUT ROWID;
"""
_SINCE = """
SELECT min(time), count(*) FROM results
WHERE check_id = :id AND time > coalesce((SELECT max(time) FROM results
    WHERE check_id = :id AND (status IN ({bad})) != :failing AND status != {skipped}), -1)
"""


@dataclass(frozen=True)
class Course:
    """How long a check has been in its present state: since when, in how many runs in a row."""

    since: datetime
    runs: int


class History:
    """Opened for one run. Raises sqlite3.Error and OSError from every method: the caller tells of it."""

    def __init__(self, directory: Path, days: int) -> None:
        self.path = directory / NAME
        self.days = days
        self.put_aside: Path | None = None
        self._database = self._open()

    @property
    def connection(self) -> sqlite3.Connection:
        """For tables of others in the same file."""
        return self._database

    def store(self, results: Iterable[Result], started: datetime, seconds: float, *, interrupted: bool) -> None:
        """Keep one run, whole or not at all, and drop what is older than `days`."""
        with self._database as database:
            moment = self._moment(started)
            database.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (moment, seconds, interrupted))
            database.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)",
                [(self._id(each.key), moment, _CODES[each.status], each.seconds, each.message) for each in results],
            )
            oldest = moment - self.days * _DAY
            database.execute("DELETE FROM results WHERE time < ? AND check_id IN (SELECT id FROM checks)", (oldest,))
            database.execute("DELETE FROM runs WHERE time < ?", (oldest,))

    def courses(self, results: Iterable[Result]) -> Mapping[tuple[str, str], Course]:
        """Since when each of these checks is as it is now (well, or failing), this run included."""
        return {each.key: course for each in results if (course := self._course(each))}

    def close(self) -> None:
        self._database.close()

    def _moment(self, started: datetime) -> int:
        """The run's second; the next free one if another run began in it."""
        moment = int(started.timestamp())
        while self._database.execute("SELECT 1 FROM runs WHERE time = ?", (moment,)).fetchone():
            moment += 1
        return moment

    def _course(self, result: Result) -> Course | None:
        bad = ",".join(str(_CODES[status]) for status in Status if not status.is_well and status != Status.SKIPPED)
        query = _SINCE.format(bad=bad, skipped=_CODES[Status.SKIPPED])  # integers of our own
        failing = not result.status.is_well
        row = self._database.execute(query, {"id": self._id(result.key), "failing": failing}).fetchone()
        if row is None or row[0] is None:
            return None
        return Course(datetime.fromtimestamp(row[0], UTC), row[1])

    def _id(self, key: tuple[str, str]) -> int:
        self._database.execute("INSERT OR IGNORE INTO checks (name, target) VALUES (?, ?)", key)
        row = self._database.execute("SELECT id FROM checks WHERE name = ? AND target = ?", key).fetchone()
        return int(row[0])

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
        self.put_aside = self.path.with_name(f"history-damaged-{time.time_ns()}.sqlite")
        self.path.rename(self.put_aside)
        for suffix in ("-wal", "-shm"):  # they belong to the damaged one
            with contextlib.suppress(FileNotFoundError):
                self.path.with_name(NAME + suffix).rename(self.put_aside.with_name(self.put_aside.name + suffix))
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(mode=0o600)
        database = sqlite3.connect(self.path, timeout=5)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database


@contextlib.contextmanager
def opened(directory: Path, days: int) -> Iterator[History]:
    """The history, closed again at the end."""
    history = History(directory, days)
    try:
        yield history
    finally:
        history.close()
