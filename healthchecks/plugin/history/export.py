"""`--monitoring-export FILE`: all results of the history as CSV or JSON lines."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from healthchecks.plugin.history import archive, database
from healthchecks.plugin.history.store import point
from servermonitoring.files import remove_abandoned, replacement
from servermonitoring.values import without_formula

FORMATS = (".csv", ".jsonl")
COLUMNS = (
    "time", "check", "target", "label", "group", "status", "duration", "message", "maintenance", "interrupted",
    "metrics",
)  # fmt: skip
_METRICS = """
SELECT check_id, name, value FROM metrics JOIN metric_values ON metric_id = metrics.id AND time = ?
ORDER BY check_id, place
"""
_FIRST_VALUE = "SELECT min((SELECT min(time) FROM metric_values WHERE metric_id = metrics.id)) FROM metrics"


def export(directory: Path, target: Path) -> int:
    """Write every result as a line of CSV or JSON, by the file's suffix; return how many.

    Raise ValueError for another suffix, OSError, sqlite3.Error. The file is a new one that
    takes the place of what has its name, for this user only (mode 0600): a link is replaced, never followed.
    """
    if target.suffix not in FORMATS:
        raise ValueError(f"{target}: the name must end in {' or '.join(FORMATS)}")
    if not (directory / database.NAME).exists():
        raise FileNotFoundError(f"there is no history yet: {directory / database.NAME}")
    remove_abandoned(target.parent)
    with closing(database.connect(directory / database.NAME)) as connection, replacement(target) as new:
        file = io.TextIOWrapper(new, encoding="utf-8", errors="backslashreplace", newline="")
        count = (_write_csv if target.suffix == ".csv" else _write_lines)(file, _rows(connection))
        file.detach()  # it is for `replacement` to close
        return count


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    first_value = connection.execute(_FIRST_VALUE).fetchone()[0]
    checks = {row[0]: row[1:] for row in connection.execute("SELECT id, name, target, label, heading FROM checks")}
    interrupted = {time for (time,) in connection.execute("SELECT time FROM runs WHERE interrupted")}
    for moment, rows in groupby(archive.all_rows(connection), lambda each: each[1][0]):
        metrics = _metrics(connection, moment) if first_value and moment >= first_value else {}
        when = datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
        for check_id, row in rows:
            if check_id in checks:
                each = point(*row)
                facts = str(each.status), each.duration, each.message, each.maintenance, moment in interrupted
                yield when, *checks[check_id], *facts, metrics.get(check_id, {})


def _metrics(connection: sqlite3.Connection, moment: int) -> dict[int, dict[str, float]]:
    """Return the metrics of one run by the id of their check; none where only the values of hours or days are left."""
    found: dict[int, dict[str, float]] = {}
    for check_id, name, value in connection.execute(_METRICS, (moment,)):
        found.setdefault(check_id, {})[name] = value
    return found


def _write_csv(file: io.TextIOBase, rows: Iterator[tuple[Any, ...]]) -> int:
    writer, count = csv.writer(file), 0
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(each) for each in row])
        count += 1
    return count


def _cell(value: object) -> object:
    """Return a value for a spreadsheet: metrics as JSON, nothing where there are none, and no text as a formula."""
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    return without_formula(value) if isinstance(value, str) else value


def _write_lines(file: io.TextIOBase, rows: Iterator[tuple[Any, ...]]) -> int:
    count = 0
    for row in rows:
        file.write(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n")
        count += 1
    return count
