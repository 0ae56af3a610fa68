"""`--monitoring-export FILE`: all results of the history as CSV or JSON lines."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healthchecks.plugin.history import database
from healthchecks.plugin.history.store import point
from servermonitoring.files import remove_abandoned, replacement
from servermonitoring.values import without_formula

FORMATS = (".csv", ".jsonl")
COLUMNS = ("time", "check", "target", "label", "group", "status", "duration", "message", "maintenance", "interrupted")
_ALL = """
SELECT results.time, checks.name, target, label, heading, status, results.seconds, message, maintenance,
       coalesce(interrupted, 0)
FROM results JOIN checks ON checks.id = check_id LEFT JOIN runs ON runs.time = results.time
ORDER BY results.time, check_id
"""


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
    for moment, check, target, label, group, status, duration, message, maintenance, interrupted in connection.execute(
        _ALL
    ):
        each = point(moment, status, duration, message, maintenance)
        when = datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
        facts = str(each.status), duration, message, each.maintenance, bool(interrupted)
        yield when, check, target, label, group, *facts


def _write_csv(file: io.TextIOBase, rows: Iterator[tuple[Any, ...]]) -> int:
    writer, count = csv.writer(file), 0
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([without_formula(each) if isinstance(each, str) else each for each in row])
        count += 1
    return count


def _write_lines(file: io.TextIOBase, rows: Iterator[tuple[Any, ...]]) -> int:
    count = 0
    for row in rows:
        file.write(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n")
        count += 1
    return count
