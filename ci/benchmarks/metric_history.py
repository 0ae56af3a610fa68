"""A history as runs every ten minutes leave it: results, and of four metrics of each check values, hours and days."""

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from healthchecks.plugin import history
from healthchecks.plugin.history import archive
from healthchecks.plugin.history.metrics import DAY, HOUR, HOURS_DAYS, VALUES_DAYS

_INTERVAL = 600  # seconds between two runs
_NAMES = {"used": "ratio", "free": "none", "response time": "seconds", "lag": "seconds"}
_METRICS = """
INSERT OR IGNORE INTO metrics (check_id, name, unit, upper_limit, place, seen) SELECT id, ?, ?, 0.9, ?, ? FROM checks
"""


def fill_results(state: Path, days: int) -> float:
    """Write results of all checks in the order of time, as runs do; return by how many megabytes the history grew."""
    now = int(time.time())
    with closing(sqlite3.connect(state / history.NAME)) as connection, connection:
        before = _size(connection)
        checks = [check for (check,) in connection.execute("SELECT id FROM checks")]
        for moment in range(now - days * DAY, now, _INTERVAL):
            connection.execute("INSERT OR IGNORE INTO runs VALUES (?, 1.2, 0, ?)", (moment, history.run_name()))
            connection.executemany(
                "INSERT OR IGNORE INTO results VALUES (?, ?, 0, ?, '', 0)",
                [(each, moment, round(random.gauss(0.05, 0.01), 6)) for each in checks],
            )
            archive.pack_old(connection, moment)
        return _size(connection) - before


def fill_metrics(state: Path, days: float) -> float:
    """Write them in the order of time, as runs do; return by how many megabytes the history grew."""
    now = int(time.time())
    with closing(sqlite3.connect(state / history.NAME)) as connection, connection:
        before = _size(connection)
        connection.executemany(
            _METRICS, [(name, unit, place, now) for place, (name, unit) in enumerate(_NAMES.items())]
        )
        metrics = [metric for (metric,) in connection.execute("SELECT id FROM metrics")]
        for table, unit, step, kept in (
            ("metric_values", 1, _INTERVAL, VALUES_DAYS),
            ("metric_hours", HOUR, HOUR, HOURS_DAYS),
            ("metric_days", DAY, DAY, days),
        ):
            for moment in range(now - int(min(days, kept) * DAY), now, step):
                _write(connection, table, metrics, moment // unit)
        return _size(connection) - before


def _write(connection: sqlite3.Connection, table: str, metrics: list[int], moment: int) -> None:
    """Write one row for each metric: random numbers, which take the most place."""
    width = 1 if table == "metric_values" else 3
    marks = ", ".join("?" * (2 + width))
    rows = [(each, moment, *sorted(random.random() for _ in range(width))) for each in metrics]  # noqa: S311
    connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own names


def _size(connection: sqlite3.Connection) -> float:
    pages, each = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return float(pages * each / 1e6)
