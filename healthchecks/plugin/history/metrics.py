"""Metrics in the history: each value for two weeks, then the least, mean and most of each hour, then of each day.

Hours and days are made as soon as they are over, so that the page reads few rows for a long time.
"""

import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

from healthchecks.plugin.history import database
from healthchecks.plugin.result import Result

_Row = tuple[int, int, object, object, object, object, int | None, float | None]  # as _SHOWN selects them
HOUR, DAY = 3600, 86400
POINTS_DAYS = 90  # of a main metric's points
VALUES_DAYS, HOURS_DAYS = 14, 100  # are kept; days are kept as long as results
_GONE_DAYS = 8  # without a value, after which a metric is not shown: as long as a check
_DAY_OF_VALUES, _FEW_VALUES = 24, 2  # hours before now, where points of hours begin
_DAYS_FROM = 7  # days before now, where points of days begin
_NEVER = 2**40  # in any unit of time
_MARK = "metrics rolled up"  # the fact that holds the hour of the last stored run, in unix seconds
_UPSERT = """
INSERT INTO metrics (check_id, name, unit, upper_limit, lower_limit, place, seen)
VALUES (:check, :name, :unit, :limit, :lower_limit, :place, :time)
ON CONFLICT (check_id, name) DO UPDATE SET
    unit = :unit, upper_limit = :limit, lower_limit = :lower_limit, seen = :time,
    place = iif(:is_passing, :place, place)
RETURNING id
"""
# Of huge values avg() is infinite, hence the bounds of each mean.
_ROLL_UP = """
INSERT INTO {into}
SELECT metric_id, {period}, min({least}), max(min({mean}), min(max({mean}), coalesce(avg({mean}), 0))), max({most})
FROM {source} WHERE metric_id IN (SELECT id FROM metrics) AND {moment} >= ? AND {moment} < ?
GROUP BY metric_id, {period}
ON CONFLICT DO UPDATE SET least = min(least, excluded.least), mean = excluded.mean, most = max(most, excluded.most)
"""
_TO_HOURS = _ROLL_UP.format(
    source="metric_values", moment="time", least="value", mean="value", most="value",
    into="metric_hours", period="time / 3600",
)  # fmt: skip
_TO_DAYS = _ROLL_UP.format(
    source="metric_hours", moment="hour", least="least", mean="mean", most="most",
    into="metric_days", period="hour / 24",
)  # fmt: skip
_TABLES = (("metric_values", "time", 1), ("metric_hours", "hour", HOUR), ("metric_days", "day", DAY))  # unit: seconds
_SHOWN = """
SELECT metrics.id, check_id, metrics.name, unit, upper_limit, lower_limit,
       (SELECT max(time) FROM metric_values WHERE metric_id = metrics.id AND time <= :now),
       (SELECT value FROM metric_values WHERE metric_id = metrics.id AND time <= :now ORDER BY time DESC LIMIT 1)
FROM metrics JOIN checks ON checks.id = check_id
WHERE metrics.seen > :oldest AND checks.seen > :oldest
ORDER BY check_id, place, metrics.seen DESC, metrics.id
"""
_POINTS = """
SELECT day * 86400, least, mean, most FROM metric_days WHERE metric_id = :id AND day >= :first_day AND day < :day
UNION ALL
SELECT hour * 3600, least, mean, most FROM metric_hours WHERE metric_id = :id AND hour >= :first_hour AND hour < :hour
UNION ALL
SELECT time, value, value, value FROM metric_values WHERE metric_id = :id AND time >= :first AND time <= :now
"""
_METRIC = """
SELECT metrics.id FROM metrics JOIN checks ON checks.id = check_id
WHERE checks.name = ? AND target = ? AND metrics.name = ?
"""


class MetricPoint(NamedTuple):
    """The values of one run, or of an hour or a day."""

    time: int  # unix seconds, when it began
    least: float
    value: float
    """The mean; of one run all three are equal."""
    most: float


class MetricColumns(NamedTuple):
    """The same of many points, oldest first: the page has hundreds for each check, and columns are made faster."""

    times: tuple[int, ...] = ()
    leasts: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    mosts: tuple[float, ...] = ()


@dataclass(frozen=True)
class MetricHistory:
    """What the page shows of one metric of a check."""

    name: str
    unit: str
    limit: float | None
    lower_limit: float | None
    columns: MetricColumns
    """Days, then the hours of the last week, then each value since yesterday; at least the last one."""

    @property
    def points(self) -> Sequence[MetricPoint]:
        return _points(self.columns)


def add(connection: sqlite3.Connection, moment: int, results: Iterable[tuple[int, Result]]) -> None:
    """Store the metrics of a run's results, each with the id of its check. Raise sqlite3.Error."""
    rows = [
        (_metric_id(connection, check, result, place, moment), moment, metric.value)
        for check, result in results
        for place, metric in enumerate(result.metrics)
    ]
    connection.executemany("INSERT INTO metric_values VALUES (?, ?, ?)", rows)


def _metric_id(connection: sqlite3.Connection, check: int, result: Result, place: int, moment: int) -> int:
    """Store unit and limits of a metric, and its place if the check passed: a failed one may lack some.

    Return its id.
    """
    metric = result.metrics[place]
    facts = {
        "check": check, "name": metric.name, "unit": metric.unit, "limit": metric.limit,
        "lower_limit": metric.lower_limit, "place": place, "time": moment, "is_passing": result.status.is_passing,
    }  # fmt: skip
    return int(connection.execute(_UPSERT, facts).fetchone()[0])


def roll_up(connection: sqlite3.Connection, moment: int, days: int) -> None:
    """Make the hours and days that are over since the last run, and drop what is older than it is kept.

    A run that was stored late leaves its own hour to the run after it. Raise sqlite3.Error.
    """
    hour = moment - moment % HOUR
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (_MARK,)).fetchone()
    last = row[0] if row and isinstance(row[0], int) else 0
    if last == hour:
        return
    if last < hour:
        connection.execute(_TO_HOURS, (last, hour))
        connection.execute(_TO_DAYS, (last // DAY * 24, hour // DAY * 24))
        _drop_old(connection, hour, days)
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_MARK, hour))


def _drop_old(connection: sqlite3.Connection, moment: int, days: int) -> None:
    """Drop the oldest day where it is old: a clock that is years ahead for a while must not empty the history."""
    for (table, column, unit), kept in zip(_TABLES, (VALUES_DAYS, HOURS_DAYS, days), strict=True):
        first = f"SELECT min((SELECT min({column}) FROM {table} WHERE metric_id = metrics.id)) FROM metrics"  # noqa: S608 - our own names
        oldest = connection.execute(first).fetchone()[0]
        end = (moment // DAY - min(kept, days)) * DAY // unit
        if oldest is not None and oldest < end:
            connection.execute(
                f"DELETE FROM {table} WHERE metric_id IN (SELECT id FROM metrics) AND {column} < ?",  # noqa: S608
                (min(end, (oldest * unit // DAY + 1) * DAY // unit),),
            )


def drop_unused(connection: sqlite3.Connection, oldest: int) -> None:
    """Forget metrics that have no values, and were not reported since then. Raise sqlite3.Error."""
    without = " AND ".join(f"NOT EXISTS (SELECT 1 FROM {table} WHERE metric_id = id)" for table, _, _ in _TABLES)  # noqa: S608
    connection.execute(f"DELETE FROM metrics WHERE seen < ? AND {without}", (oldest,))  # noqa: S608 - our own names


def histories(
    connection: sqlite3.Connection, now: int, *, in_hours: bool = False
) -> Mapping[int, Sequence[MetricHistory]]:
    """Return the metrics of each check that ran in the last days, the main one first, by the check's id.

    With `in_hours` the last day, too, has one point for each hour, but for the last two hours. Raise sqlite3.Error;
    TypeError or ValueError for values that no run stored.
    """
    hours = _FEW_VALUES if in_hours else _DAY_OF_VALUES
    rows = connection.execute(_SHOWN, {"now": now, "oldest": now - _GONE_DAYS * DAY})
    return {check: _of_check(connection, [*each], now, hours) for check, each in groupby(rows, lambda row: int(row[1]))}


def _of_check(connection: sqlite3.Connection, rows: Sequence[_Row], now: int, hours: int) -> Sequence[MetricHistory]:
    found: list[MetricHistory] = []
    for metric, _, name, unit, limit, lower_limit, time, value in rows:
        if not isinstance(name, str) or not isinstance(unit, str):
            raise TypeError(f"{name!r:.40} in {unit!r:.40} is no metric")
        last = [] if time is None or value is None else [(time, value, value, value)]
        columns = _columns(last) if found else _main_columns(connection, metric, now, hours)
        found.append(MetricHistory(name, unit, _limit(limit), _limit(lower_limit), columns))
    return found


def _main_columns(connection: sqlite3.Connection, metric: int, now: int, hours: int) -> MetricColumns:
    hour = now // HOUR - hours
    day = (now - _DAYS_FROM * DAY) // DAY
    bounds = {
        "id": metric, "first_day": now // DAY - POINTS_DAYS, "day": day, "first_hour": day * 24, "hour": hour,
        "first": hour * HOUR, "now": now,
    }  # fmt: skip
    return _columns(connection.execute(_POINTS, bounds))


def _columns(rows: Iterable[tuple[int, float, float, float]]) -> MetricColumns:
    columns = MetricColumns(*zip(*rows, strict=True))
    if not all(map(math.isfinite, chain.from_iterable(columns))):
        raise ValueError("a metric has values that are not finite")
    return columns


def _points(columns: MetricColumns) -> Sequence[MetricPoint]:
    return [MetricPoint(*each) for each in zip(*columns, strict=True)]


def _limit(value: object) -> float | None:
    if value is None or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise TypeError(f"{value!r:.40} is no limit")


def metric_points(directory: Path, check: str, target: str, name: str, since: int) -> Sequence[MetricPoint]:
    """Return the points of a metric, oldest first; empty if there is no history, or it cannot be read.

    Each value for the last two weeks, before them one point for each hour, and before these for each day. `since` is
    in unix seconds. The file is only read: for checks, while the run has not stored its results yet.
    """
    try:
        with closing(database.connect_unchanged(directory / database.NAME)) as connection:
            row = connection.execute(_METRIC, (check, target, name)).fetchone()
            return _all_points(connection, row[0], since) if row else ()
    except (OSError, sqlite3.Error, ValueError, TypeError, OverflowError):
        return ()


def _all_points(connection: sqlite3.Connection, metric: int, since: int) -> Sequence[MetricPoint]:
    """Return the finest points that there are of each time."""
    hour = _first(connection, "time", "metric_values", metric) // HOUR
    day = min(_first(connection, "hour", "metric_hours", metric), hour) // 24
    bounds = {
        "id": metric, "first_day": -(-since // DAY), "day": day, "first_hour": max(day * 24, -(-since // HOUR)),
        "hour": hour, "first": max(hour * HOUR, since), "now": _NEVER,
    }  # fmt: skip
    return _points(_columns(connection.execute(_POINTS, bounds)))


def _first(connection: sqlite3.Connection, column: str, table: str, metric: int) -> int:
    """Return the time of a metric's first row, in the table's unit; a late one if it has none."""
    query = f"SELECT min({column}) FROM {table} WHERE metric_id = ?"  # noqa: S608 - our own names
    found = connection.execute(query, (metric,)).fetchone()[0]
    return _NEVER if found is None else int(found)
