"""Migration of the history: the steps from each schema version to the next, the first of which make a new history.

Version 1 is that of servermonitoring 0.1, which did not number it, so its steps are also those of an empty file.
"""

import json
import sqlite3
from collections.abc import Callable

_Step = Callable[[sqlite3.Connection], None]
_VERSION_1 = """
CREATE TABLE IF NOT EXISTS checks (id INTEGER PRIMARY KEY, name TEXT NOT NULL, target TEXT NOT NULL,
                                   UNIQUE (name, target));
CREATE TABLE IF NOT EXISTS runs (time INTEGER PRIMARY KEY, seconds REAL NOT NULL, interrupted INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS results (check_id INTEGER NOT NULL REFERENCES checks, time INTEGER NOT NULL,
                                    status INTEGER NOT NULL, seconds REAL NOT NULL, message TEXT NOT NULL,
                                    PRIMARY KEY (check_id, time)) WITHOUT ROWID;
"""
_VERSION_2 = """
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
UPDATE checks SET label = CASE target WHEN '' THEN name ELSE name || '[' || target || ']' END,
                  seen = coalesce((SELECT max(time) FROM results WHERE check_id = checks.id), 0);
"""
# An hour and a day are numbered from 1970, in UTC: less than a time takes.
_VERSION_3 = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY, check_id INTEGER NOT NULL REFERENCES checks, name TEXT NOT NULL,
                      unit TEXT NOT NULL, upper_limit REAL, lower_limit REAL, place INTEGER NOT NULL,
                      seen INTEGER NOT NULL, UNIQUE (check_id, name));
CREATE TABLE metric_values (metric_id INTEGER NOT NULL REFERENCES metrics, time INTEGER NOT NULL,
                            value REAL NOT NULL, PRIMARY KEY (metric_id, time)) WITHOUT ROWID;
CREATE TABLE metric_hours (metric_id INTEGER NOT NULL REFERENCES metrics, hour INTEGER NOT NULL, least REAL NOT NULL,
                           mean REAL NOT NULL, most REAL NOT NULL, PRIMARY KEY (metric_id, hour)) WITHOUT ROWID;
CREATE TABLE metric_days (metric_id INTEGER NOT NULL REFERENCES metrics, day INTEGER NOT NULL, least REAL NOT NULL,
                          mean REAL NOT NULL, most REAL NOT NULL, PRIMARY KEY (metric_id, day)) WITHOUT ROWID;
"""
_VERSION_4 = """
CREATE TABLE result_days (check_id INTEGER NOT NULL REFERENCES checks, day INTEGER NOT NULL, counted INTEGER NOT NULL,
                          passed INTEGER NOT NULL, decided INTEGER NOT NULL, packed BLOB NOT NULL,
                          UNIQUE (check_id, day));
CREATE INDEX result_days_sums ON result_days (check_id, day, counted, passed);
"""
_STREAK = """
UPDATE checks SET kind = :kind, (since, streak) = (SELECT min(time), count(*) FROM results
    WHERE check_id = checks.id AND status IN {mine} AND time > coalesce(
        (SELECT max(time) FROM results WHERE check_id = checks.id AND status IN {others}), -1))
WHERE (SELECT status FROM results WHERE check_id = checks.id AND status < 5 ORDER BY time DESC LIMIT 1) IN {mine}
"""
_KINDS = {"passing": "(0, 1)", "failing": "(2, 3)", "blocked": "(4)"}  # by Kind as it is stored: status codes


def migrate(database: sqlite3.Connection, version: int | None = None) -> None:
    """Bring the schema to a version, the current one unless it is given, in one transaction. Raise sqlite3.Error."""
    wanted = VERSION if version is None else version
    if version_of(database) >= wanted:
        return
    with database:
        database.execute("BEGIN IMMEDIATE")
        for step in STEPS[version_of(database) : wanted]:  # none if another process was quicker
            step(database)
        database.execute(f"PRAGMA user_version = {wanted}")


def version_of(database: sqlite3.Connection) -> int:
    """Return the number in the file: 0 for an empty one and for version 0.1. Raise sqlite3.Error."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def recount(database: sqlite3.Connection) -> None:
    """Set the streak of each check from its results, of which there may be many: not for every run."""
    for kind, mine in _KINDS.items():
        others = "({})".format(", ".join(codes.strip("()") for name, codes in _KINDS.items() if name != kind))
        database.execute(_STREAK.format(mine=mine, others=others), {"kind": kind})


def _to_1(database: sqlite3.Connection) -> None:
    _execute(database, _VERSION_1)


def _to_2(database: sqlite3.Connection) -> None:
    _execute(database, _VERSION_2)
    recount(database)


def _to_3(database: sqlite3.Connection) -> None:
    _execute(database, _VERSION_3)
    if _has_table(database, "numbers"):
        _move_numbers(database)
        database.execute("DROP TABLE numbers")


def _to_4(database: sqlite3.Connection) -> None:
    """Let the runs that follow pack the results, little by little."""
    _execute(database, _VERSION_4)


def _to_5(database: sqlite3.Connection) -> None:
    """Rename a kind, which versions 2 to 4 call "well"."""
    database.execute("UPDATE checks SET kind = 'passing' WHERE kind = 'well'")


STEPS: tuple[_Step, ...] = (_to_1, _to_2, _to_3, _to_4, _to_5)
VERSION = len(STEPS)


def _execute(database: sqlite3.Connection, script: str) -> None:
    """Execute the statements within the present transaction, which executescript() would commit."""
    for statement in script.split(";"):
        database.execute(statement)


def _has_table(database: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return database.execute(query, (name,)).fetchone() is not None


def _move_numbers(database: sqlite3.Connection) -> None:
    """Make the numbers of reports, which version 2 has in a table of their own, metrics of their checks."""
    reports = database.execute(
        "SELECT id, name, document, (SELECT cast(max(time) AS INTEGER) FROM numbers WHERE report_id = id) FROM reports"
    ).fetchall()
    for report, name, document, seen in reports:
        if seen is None:
            continue
        database.execute(
            "INSERT OR IGNORE INTO checks (name, target, label) VALUES ('report', ?, 'report[' || ? || ']')",
            (name, name),
        )
        metric = database.execute(
            "INSERT INTO metrics (check_id, name, unit, place, seen)"
            " SELECT id, ?, 'none', 0, ? FROM checks WHERE name = 'report' AND target = ?",
            (_metric_of(document), seen, name),
        ).lastrowid
        database.execute(
            "INSERT OR REPLACE INTO metric_values"
            " SELECT ?, cast(time AS INTEGER), value FROM numbers WHERE report_id = ?",
            (metric, report),
        )


def _metric_of(document: str) -> str:
    """Return what a report's number was: the value of its first row, or how many rows there were."""
    try:
        state = json.loads(document)
        counts = state["expect"].startswith("rows") or not any(state["table"]["numeric"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "value"
    return "rows" if counts else "value"
