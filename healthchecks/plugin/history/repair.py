"""A damaged history is put aside, and begun anew with what can still be read of it."""

import contextlib
import itertools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from healthchecks.plugin.history.database import VERSION, connect, connect_unchanged

_BUDGET = 1.0  # seconds for what can still be read
_UNREADABLE = (sqlite3.Error, OSError, ValueError)  # names of columns, too, may be no UTF-8
_RECENT = 8 * 86400  # seconds: what the page shows of each check goes first
_SOME = 500  # rows between two looks at the clock
_RESULTS = "SELECT * FROM results WHERE check_id = ? AND time {} ? ORDER BY time DESC"
_TABLES = ("checks", "runs", "reports", "numbers")


def renew(path: Path, *, salvage: bool = True, without: str = "") -> Path:
    """Rename the file, make a new one with what can be read of it; give back its new name.

    `without` names a run that is stored anew. Raises OSError; sqlite3.Error where the new one cannot be made.
    """
    aside = _put_aside(path)
    with closing(connect(path)) as database:
        if salvage:
            with contextlib.suppress(*_UNREADABLE), closing(connect_unchanged(aside)) as old:
                _salvage(old, database, time.monotonic() + _BUDGET)
                _forget(database, without)
    return aside


def _put_aside(path: Path) -> Path:
    """With what belongs to it."""
    aside = path.with_name(f"history-damaged-{time.time_ns()}.sqlite")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _salvage(old: sqlite3.Connection, new: sqlite3.Connection, end: float) -> None:
    """Table by table, and check by check, since one page that cannot be read ends a query."""
    if old.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        return
    for (statement,) in old.execute("SELECT sql FROM sqlite_master WHERE name IN ('reports', 'numbers')").fetchall():
        new.execute(statement)
    for table in _TABLES:
        _copy(old, new, table, f"SELECT * FROM {table}", (), end)  # noqa: S608 - our own names
    recent = int(time.time()) - _RECENT
    checks = [check for (check,) in new.execute("SELECT id FROM checks")]
    for comparison, check in itertools.product((">", "<="), checks):
        if time.monotonic() < end:
            _copy(old, new, "results", _RESULTS.format(comparison), (check, recent), end)


def _forget(database: sqlite3.Connection, name: str) -> None:
    with database:
        database.execute("DELETE FROM results WHERE time = (SELECT time FROM runs WHERE name = ?)", (name,))
        database.execute("DELETE FROM runs WHERE name = ?", (name,))


def _copy(  # noqa: PLR0913, PLR0917 - from where, where to, and how long
    old: sqlite3.Connection, new: sqlite3.Connection, table: str, query: str, values: tuple[int, ...], end: float
) -> None:
    with contextlib.suppress(*_UNREADABLE), new:
        for rows in _some(old.execute(query, values)):
            marks = ", ".join("?" * len(rows[0]))
            new.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own names
            if time.monotonic() > end:
                return


def _some(rows: sqlite3.Cursor) -> Iterator[list[tuple[object, ...]]]:
    """Up to the first one that cannot be read."""
    found: list[tuple[object, ...]] = []
    with contextlib.suppress(*_UNREADABLE):
        for row in rows:
            found.append(row)
            if len(found) == _SOME:
                yield found
                found = []
    if found:
        yield found
