"""The file itself: opened, brought to the present schema, looked through now and then."""

import contextlib
import os
import sqlite3
import stat
import time
from pathlib import Path

from servermonitoring.files import read_regular

NAME = "history.sqlite"
VERSION = 2
_CHECK_EVERY = 86400  # seconds between two looks through the whole file
_WAIT = 1  # seconds for another process that is writing
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DOUBLED = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)  # by a damaged index
_DAMAGED_SCHEMA = ("no such column", "no such table", "has no column named", "Could not decode to UTF-8")
_TABLES = {"checks", "runs", "results"}  # that every version has
_BESIDE = {"reports", "numbers", "alerts", "alerts_sent", "alerts_epoch", "resolutions"}  # of ours, too

# Version 1 is that of servermonitoring 0.1, which did not number it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS checks (id INTEGER PRIMARY KEY, name TEXT NOT NULL, target TEXT NOT NULL,
                                   UNIQUE (name, target));
CREATE TABLE IF NOT EXISTS runs (time INTEGER PRIMARY KEY, seconds REAL NOT NULL, interrupted INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS results (check_id INTEGER NOT NULL REFERENCES checks, time INTEGER NOT NULL,
                                    status INTEGER NOT NULL, seconds REAL NOT NULL, message TEXT NOT NULL,
                                    PRIMARY KEY (check_id, time)) WITHOUT ROWID;
ALTER TABLE checks ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE checks ADD COLUMN heading TEXT NOT NULL DEFAULT '';
ALTER TABLE checks ADD COLUMN reference TEXT NOT NULL DEFAULT '';
ALTER TABLE checks ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN kind TEXT;
ALTER TABLE checks ADD COLUMN since INTEGER;
ALTER TABLE checks ADD COLUMN streak INTEGER NOT NULL DEFAULT 0;
ALTER TABLE results ADD COLUMN maintenance INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN name TEXT;
CREATE UNIQUE INDEX runs_name ON runs (name) WHERE name IS NOT NULL;
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
_LABELS = """
UPDATE checks SET label = CASE target WHEN '' THEN name ELSE name || '[' || target || ']' END,
                  seen = coalesce((SELECT max(time) FROM results WHERE check_id = checks.id), 0)
"""
_STREAK = """
UPDATE checks SET kind = :kind, (since, streak) = (SELECT min(time), count(*) FROM results
    WHERE check_id = checks.id AND status IN {mine} AND time > coalesce(
        (SELECT max(time) FROM results WHERE check_id = checks.id AND status IN {others}), -1))
WHERE (SELECT status FROM results WHERE check_id = checks.id AND status < 5 ORDER BY time DESC LIMIT 1) IN {mine}
"""
_KINDS = {"well": "(0, 1)", "failing": "(2, 3)", "blocked": "(4)"}  # of status codes


class Unusable(sqlite3.Error):
    """A history that cannot be used, and why."""


class Damaged(sqlite3.DatabaseError):
    """A history that holds what nobody stored."""


def look(path: Path) -> None:
    """Read its beginning, as an SQLite file or not: with a limit of time, this tells a disk that does not answer."""
    with contextlib.suppress(OSError, ValueError):
        read_regular(path, 1, part="start")


def connect(path: Path) -> sqlite3.Connection:
    """For reading and writing, in the present schema. Raises OSError, sqlite3.Error."""
    database = connect_beside(path)
    try:
        _refuse_others(database)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        _bring_up(database)
        _look_through(database)
    except BaseException:
        database.close()
        raise
    return database


def connect_beside(path: Path) -> sqlite3.Connection:
    """For tables of one's own in the same file. Raises OSError, sqlite3.Error."""
    _refuse_what_is_no_file(path)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
    return sqlite3.connect(path, timeout=_WAIT, check_same_thread=False)


def connect_unchanged(path: Path) -> sqlite3.Connection:
    """For reading only, whatever is in it. Raises OSError, sqlite3.Error."""
    return _connect_to_read(path, "mode=ro")


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Even on a read-only file system, where write-ahead logging cannot be read. Raises OSError, sqlite3.Error."""
    database = _connect_to_read(path, "mode=ro&immutable=1")
    if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        database.close()
        raise Unusable("it is of another version, and cannot be written")
    return database


def _connect_to_read(path: Path, options: str) -> sqlite3.Connection:
    _refuse_what_is_no_file(path)
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, timeout=_WAIT, check_same_thread=False)


def _refuse_what_is_no_file(path: Path) -> None:
    """SQLite would wait for the other end of a FIFO, and for a device."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise Unusable("it is a directory" if stat.S_ISDIR(mode) else "it is no regular file")


def is_damaged(error: sqlite3.Error | ValueError) -> bool:
    """Whether it tells of a file that is not as it was written, and not of one that is locked, full or foreign."""
    code = getattr(error, "sqlite_errorcode", 0)
    in_words = any(each in str(error) for each in _DAMAGED_SCHEMA)
    return isinstance(error, (Damaged, UnicodeDecodeError)) or (code & 0xFF) in _DAMAGED or code in _DOUBLED or in_words


def _refuse_others(database: sqlite3.Connection) -> None:
    """Before anything in it is changed."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise Unusable(f"it was made by a newer version ({version}) of servermonitoring")
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and not tables & _TABLES and not tables <= _BESIDE:
        raise Unusable("it is the database of another program")


def _bring_up(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    with database:
        database.execute("BEGIN IMMEDIATE")
        if database.execute("PRAGMA user_version").fetchone()[0] == VERSION:  # another process was quicker
            return
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute(_LABELS)
        recount(database)
        database.execute(f"PRAGMA user_version = {VERSION}")


def recount(database: sqlite3.Connection) -> None:
    """Set since when each check is as it is from its results, of which there may be many: not for every run."""
    for kind, mine in _KINDS.items():
        others = "({})".format(", ".join(codes.strip("()") for name, codes in _KINDS.items() if name != kind))
        database.execute(_STREAK.format(mine=mine, others=others), {"kind": kind})


def _look_through(database: sqlite3.Connection) -> None:
    """Once a day: a damaged page in the middle takes inserts for years, and is found when it is read."""
    row = database.execute("SELECT value FROM facts WHERE name = 'looked through'").fetchone()
    if row and abs(time.time() - row[0]) < _CHECK_EVERY:
        return
    trouble = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if trouble != "ok":
        raise Damaged(trouble)
    with database:
        database.execute("INSERT OR REPLACE INTO facts VALUES ('looked through', ?)", (time.time(),))
