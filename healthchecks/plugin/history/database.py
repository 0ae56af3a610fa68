"""The SQLite file: opening, schema, integrity check, and a new one with what can be read of a damaged one."""

import contextlib
import itertools
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from healthchecks.plugin.history.archive import DamagedError, drop_unreadable
from healthchecks.plugin.history.migration import VERSION, migrate, version_of
from servermonitoring import clock
from servermonitoring.files import read_regular

NAME = "history.sqlite"
_CHECK_EVERY = 86400  # seconds between two integrity checks
_WAIT = 1  # seconds for another process that is writing
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DOUBLED = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)  # by a damaged index
_DAMAGED_SCHEMA = ("no such column", "no such table", "has no column named", "Could not decode to UTF-8")
_TABLES = {"checks", "runs", "results"}  # that every version has
_OTHER_TABLES = {"reports", "numbers", "alerts", "alerts_sent", "alerts_epoch", "resolutions"}  # of ours, too


class UnusableError(sqlite3.Error):
    """A history that cannot be used, and why."""


def check_readable(path: Path) -> None:
    """Read the start of the file, whatever it is: under a timeout, this detects a disk that does not respond."""
    with contextlib.suppress(OSError, ValueError):
        read_regular(path, 1, part="start")


def connect(path: Path) -> sqlite3.Connection:
    """Open the history to read and write, in the current schema. Raise OSError, sqlite3.Error."""
    database = connect_without_schema(path)
    try:
        _refuse_foreign(database)
        _set_up(database)
        migrate(database)
        _check_integrity(database)
    except BaseException:
        database.close()
        raise
    return database


def _set_up(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")


def connect_without_schema(path: Path) -> sqlite3.Connection:
    """Open the file for other tables in it. Raise OSError, sqlite3.Error."""
    _refuse_irregular(path)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
    return sqlite3.connect(path, timeout=_WAIT, check_same_thread=False)


def connect_unchanged(path: Path) -> sqlite3.Connection:
    """Open the file to read, whatever its content. Raise OSError, sqlite3.Error."""
    return _connect_to_read(path, "mode=ro")


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the history to read, also on a read-only file system, without its write-ahead log.

    Raise OSError, sqlite3.Error.
    """
    database = _connect_to_read(path, "mode=ro&immutable=1")
    if version_of(database) != VERSION:
        database.close()
        raise UnusableError("it has another version and cannot be written")
    return database


def _connect_to_read(path: Path, options: str) -> sqlite3.Connection:
    _refuse_irregular(path)
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, timeout=_WAIT, check_same_thread=False)


def _refuse_irregular(path: Path) -> None:
    """Raise UnusableError for a FIFO or a device, for which SQLite would wait."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise UnusableError("it is a directory" if stat.S_ISDIR(mode) else "it is not a regular file")


def is_damaged(error: sqlite3.Error | ValueError) -> bool:
    """Return whether the error means a damaged file, not one that is locked, full or foreign."""
    code = getattr(error, "sqlite_errorcode", 0)
    has_other_schema = any(each in str(error) for each in _DAMAGED_SCHEMA)
    return (
        isinstance(error, (DamagedError, UnicodeDecodeError))
        or (code & 0xFF) in _DAMAGED
        or code in _DOUBLED
        or has_other_schema
    )


def _refuse_foreign(database: sqlite3.Connection) -> None:
    """Raise UnusableError before anything in the file of another program or a newer version is changed."""
    version = version_of(database)
    if version > VERSION:
        raise UnusableError(f"it was made by a newer version ({version}) of servermonitoring")
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and not tables & _TABLES and not tables <= _OTHER_TABLES:
        raise UnusableError("it is the database of another program")


def _check_integrity(database: sqlite3.Connection) -> None:
    """Check once a day: a damaged page in the middle takes inserts for years, and is found when it is read."""
    row = database.execute("SELECT value FROM facts WHERE name = 'integrity checked'").fetchone()
    if row and isinstance(row[0], float) and abs(clock.time() - row[0]) < _CHECK_EVERY:
        return
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DamagedError(found)
    with database:
        database.execute("INSERT OR REPLACE INTO facts VALUES ('integrity checked', ?)", (clock.time(),))


_BUDGET = 1.0  # seconds for what can still be read
_UNREADABLE = (sqlite3.Error, OSError, ValueError)  # names of columns, too, may be no UTF-8
_RECENT = 8 * 86400  # seconds: what the page shows of each check is copied first
_BATCH = 500  # rows between two readings of the clock
_SALVAGED = ("checks", "runs", "reports", "numbers", "metrics")
_SERIES = (  # tables with many rows for each check or metric: key, time, its unit in seconds
    ("results", "check_id", "time", 1),
    ("result_days", "check_id", "day", 86400),
    ("metric_values", "metric_id", "time", 1),
    ("metric_hours", "metric_id", "hour", 3600),
    ("metric_days", "metric_id", "day", 86400),
)


def renew(path: Path, *, salvage: bool = True, without: str = "") -> Path:
    """Rename the file, make a new one with what can be read of it; return the new name of the old one.

    `without` names a run that will be stored again. Raise OSError; sqlite3.Error if no new one can be made.
    """
    damaged = _rename(path)
    if salvage:
        try:
            _salvage(damaged, path, without)
        except _UNREADABLE:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
    connect(path).close()
    return damaged


def _rename(path: Path) -> Path:
    """Rename the file and its write-ahead log."""
    damaged = path.with_name(f"history-damaged-{time.time_ns()}.sqlite")
    path.rename(damaged)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(damaged.with_name(damaged.name + suffix))
    return damaged


def _salvage(damaged: Path, path: Path, without: str) -> None:
    """Copy into a new file in the schema version of the old one, then migrate it. Raise one of _UNREADABLE."""
    with closing(connect_unchanged(damaged)) as old, closing(connect_without_schema(path)) as new:
        version = version_of(old)
        if version <= VERSION:
            _set_up(new)
            migrate(new, max(version, 1))
            _copy_all(old, new, clock.monotonic() + _BUDGET)
            migrate(new)
            _drop_unusable(new, without)


def _copy_all(old: sqlite3.Connection, new: sqlite3.Connection, end: float) -> None:
    """Copy table by table, and check by check, since one page that cannot be read ends a query."""
    for (statement,) in old.execute("SELECT sql FROM sqlite_master WHERE name IN ('reports', 'numbers')").fetchall():
        new.execute(statement)
    for table in _SALVAGED:
        _copy(old, new, table, f"SELECT * FROM {table}", (), end)  # noqa: S608 - our own names
    ids = {"check_id": _ids(new, "checks"), "metric_id": _ids(new, "metrics")}
    recent = int(clock.time()) - _RECENT
    for comparison, (table, key, column, unit) in itertools.product((">", "<="), _SERIES):
        query = f"SELECT * FROM {table} WHERE {key} = ? AND {column} {comparison} ? ORDER BY {column} DESC"  # noqa: S608
        for each in ids[key]:
            if clock.monotonic() < end:
                _copy(old, new, table, query, (each, recent // unit), end)


def _ids(database: sqlite3.Connection, table: str) -> list[int]:
    """Return the ids in a table; none where this version of the schema has no such table."""
    with contextlib.suppress(sqlite3.OperationalError):
        return [each for (each,) in database.execute(f"SELECT id FROM {table}")]  # noqa: S608 - our own names
    return []


def _drop_unusable(database: sqlite3.Connection, name: str) -> None:
    """Drop what cannot be read, and a run that will be stored again."""
    with database:
        drop_unreadable(database)
        for table in ("results", "metric_values"):
            query = f"DELETE FROM {table} WHERE time = (SELECT time FROM runs WHERE name = ?)"  # noqa: S608 - our own names
            database.execute(query, (name,))
        database.execute("DELETE FROM runs WHERE name = ?", (name,))


def _copy(  # noqa: PLR0913, PLR0917 - from where, where to, and how long
    old: sqlite3.Connection, new: sqlite3.Connection, table: str, query: str, values: tuple[int, ...], end: float
) -> None:
    with contextlib.suppress(*_UNREADABLE), new:
        for rows in _batches(old.execute(query, values)):
            marks = ", ".join("?" * len(rows[0]))
            new.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own names
            if clock.monotonic() > end:
                return


def _batches(rows: sqlite3.Cursor) -> Iterator[list[tuple[object, ...]]]:
    """Return batches of rows up to the first one that cannot be read."""
    found: list[tuple[object, ...]] = []
    with contextlib.suppress(*_UNREADABLE):
        for row in rows:
            found.append(row)
            if len(found) == _BATCH:
                yield found
                found = []
    if found:
        yield found
