"""Stores reports in tables of their own in the history's file: the last state of each, and its numbers."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from healthchecks.plugin import history

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (report_id INTEGER NOT NULL REFERENCES reports, time REAL NOT NULL,
                                    value REAL NOT NULL, PRIMARY KEY (report_id, time)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Table:
    """The rows of a report's last result. Times are seconds since 1970."""

    asked: float
    columns: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[str | None]]
    count: int
    exact: bool
    number: str | None = None
    """What the history keeps of it, as the server wrote it."""


@dataclass(frozen=True)
class State:
    """A report as it was when it last ran."""

    name: str
    path: str
    title: str
    description: str
    database: str
    group: str
    status: str
    message: str
    expect: str
    chart: tuple[str, str] | None
    """Its form, bar or line, and its column."""
    ran: float
    duration: float
    maintenance: bool = False
    table: Table | None = None
    """Of this run, or of the last one with a result."""


class Store:
    """Every method raises sqlite3.Error and OSError; the caller reports it."""

    def __init__(self, directory: Path) -> None:
        self._database = history.connect_without_schema(directory / history.NAME)
        try:
            self._database.executescript(_SCHEMA)
        except sqlite3.Error:
            self._database.close()
            raise

    def close(self) -> None:
        self._database.close()

    def keep(self, states: Sequence[State], days: int) -> None:
        """Store the states; one without a table keeps its old one. Delete numbers older than `days`."""
        with self._database as database:
            before = {each.name: each for each in self.states()}
            for state in states:
                old = before.get(state.name)
                document = asdict(state)
                if state.table is None and old and old.table:
                    document["table"] = asdict(old.table)
                database.execute(
                    "INSERT INTO reports (name, document) VALUES (?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                    (state.name, json.dumps(document)),
                )
                self._keep_number(state)
            oldest = (datetime.now(UTC) - timedelta(days=days)).timestamp()
            database.execute("DELETE FROM numbers WHERE time < ?", (oldest,))

    def states(self) -> list[State]:
        """Of all reports that ever ran, by name; without those whose file is gone."""
        rows = self._database.execute("SELECT document FROM reports ORDER BY name").fetchall()
        states = [_state(document) for (document,) in rows]
        return [each for each in states if each and os.access(each.path, os.F_OK)]

    def numbers(self, days: int) -> Mapping[str, list[tuple[float, float]]]:
        """Return the points of each report's number: times and values, the oldest first."""
        oldest = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        rows = self._database.execute(
            "SELECT name, time, value FROM numbers JOIN reports ON id = report_id WHERE time >= ? ORDER BY time",
            (oldest,),
        )
        found: dict[str, list[tuple[float, float]]] = {}
        for name, moment, value in rows:
            found.setdefault(name, []).append((moment, value))
        return found

    def _keep_number(self, state: State) -> None:
        number = Decimal(state.table.number) if state.table and state.table.number is not None else None
        if state.table and number is not None and number.is_finite():
            self._database.execute(
                "INSERT OR REPLACE INTO numbers SELECT id, ?, ? FROM reports WHERE name = ?",
                (state.table.asked, float(number), state.name),
            )


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[Store]:
    store = Store(directory)
    try:
        yield store
    finally:
        store.close()


def _state(text: str) -> State | None:
    """None for one that another version wrote: it comes back with its report's next run."""
    try:
        document = json.loads(text)
        table, chart = document.pop("table"), document.pop("chart")
        return State(**document, chart=chart and (chart[0], chart[1]), table=table and Table(**table))
    except (ValueError, KeyError, TypeError):
        return None
