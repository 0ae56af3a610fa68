"""Stores the last state of each report in a table of their own in the history's file, which has their metrics."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from healthchecks.plugin import history
from healthchecks.sql_reports import CHECK
from healthchecks.sql_reports.report import metric_name
from servermonitoring import clock

_DAY = 86400  # seconds

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS reports (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL)"
)


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
    """Its metric, as the server wrote it."""


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
    silence: str = ""
    """Until when it is silenced, by which user and why; empty if it is not."""
    table: Table | None = None
    """Of this run, or of the last one with a result."""


class Store:
    """Every method raises sqlite3.Error and OSError; the caller reports it."""

    def __init__(self, directory: Path) -> None:
        self._database = history.connect_without_schema(directory / history.NAME)
        try:
            self._database.execute(_SCHEMA)
        except sqlite3.Error:
            self._database.close()
            raise

    def close(self) -> None:
        self._database.close()

    def keep(self, states: Sequence[State]) -> None:
        """Store the states; one without a table keeps its old one."""
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

    def states(self) -> list[State]:
        """Return the states of all reports that ever ran, by name; without those whose file is gone."""
        rows = self._database.execute("SELECT document FROM reports ORDER BY name").fetchall()
        states = [_state(document) for (document,) in rows]
        return [each for each in states if each and os.access(each.path, os.F_OK)]


def trends(directory: Path, states: Iterable[State], days: int) -> Mapping[str, list[tuple[float, float]]]:
    """Return the points of what each report is about, from its check's metrics: times and values, the oldest first."""
    since = int(clock.time()) - days * _DAY
    found = {}
    for state in states:
        name = metric_name(state.expect, state.table.numeric if state.table else ())
        points = history.metric_points(directory, CHECK, state.name, name, since)
        found[state.name] = [(float(each.time), each.value) for each in points]
    return found


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[Store]:
    store = Store(directory)
    try:
        yield store
    finally:
        store.close()


def _state(text: str) -> State | None:
    """Return the state; None for one that another version wrote: it comes back with its report's next run."""
    try:
        document = json.loads(text)
        table, chart = document.pop("table"), document.pop("chart")
        return State(**document, chart=chart and (chart[0], chart[1]), table=table and Table(**table))
    except (ValueError, KeyError, TypeError):
        return None
