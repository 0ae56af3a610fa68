"""Results in the history: one row each for two days, then one packed row for each check and day.

A packed day takes a sixth of the space, and has the sums for the uptime, so that the page reads few old results. It is
JSON, compressed by zlib: the unit of the durations (parts of a second), the distances between the times, the first from
the start of the day; the durations; and runs in a row with the same status, maintenance and message.

Functions raise sqlite3.Error, of which DamagedError is for a day that cannot be read.
"""

import heapq
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, groupby, pairwise, repeat

from healthchecks.plugin.history.damage import DamagedError

Row = tuple[int, int, float, str, int]
"""A result: time in unix seconds, status, duration in seconds, message, maintenance."""
DAY = 86400
_ROWS_DAYS = 1  # whole days before the present one, of which each result has a row
_MOST_PACKED = 300  # days of checks in one run: those of a year are packed little by little
_MICROSECONDS = 1_000_000
_COUNTED, _PASSING, _SKIPPED = 3, 1, 5  # status codes: up to which a result counts for uptime, passes; changes nothing
_COLUMNS = "time, status, seconds, message, maintenance"
_OLD = """
SELECT id, (SELECT min(time) FROM results WHERE check_id = checks.id) AS first FROM checks WHERE first < ?
"""
_DAYS = "SELECT day, packed FROM result_days WHERE check_id = ? AND day >= ? AND day <= ?"
_DECIDED = "SELECT max(time) FROM results WHERE check_id = ? AND time <= ? AND status < 5"
_DROP_UNREADABLE = """
DELETE FROM results WHERE typeof(time) != 'integer' OR typeof(status) != 'integer' OR typeof(seconds) != 'real'
    OR typeof(message) != 'text' OR typeof(maintenance) != 'integer'
"""


def pack_old(connection: sqlite3.Connection, moment: int) -> bool:
    """Pack the results of days that are over, up to a limit: those of a year need some hours of runs.

    Return whether the limit was reached.
    """
    end = (moment // DAY - _ROWS_DAYS) * DAY
    left = _MOST_PACKED
    for check, first in connection.execute(_OLD, (end,)).fetchall():
        time = first
        while time is not None and time < end and left:
            _try_to_pack(connection, check, time // DAY)
            left -= 1
            time = connection.execute("SELECT min(time) FROM results WHERE check_id = ?", (check,)).fetchone()[0]
    return not left


def _try_to_pack(connection: sqlite3.Connection, check: int, day: int) -> None:
    try:
        _pack_day(connection, check, day)
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedError(f"there are results that no run stored: {error}") from error


def _pack_day(connection: sqlite3.Connection, check: int, day: int) -> None:
    """Move the rows of a day into its packed row, which exists if they were stored late."""
    bounds = check, day * DAY, day * DAY + DAY
    where = "check_id = ? AND time >= ? AND time < ?"
    found = connection.execute(f"SELECT {_COLUMNS} FROM results WHERE {where} ORDER BY time", bounds).fetchall()  # noqa: S608
    found = sorted([*found, *_rows_of_days(connection, check, day, day)])
    counted = [row for row in found if row[1] <= _COUNTED and not row[4]]
    sums = len(counted), sum(row[1] <= _PASSING for row in counted), sum(row[1] < _SKIPPED for row in found)
    connection.execute(
        "INSERT OR REPLACE INTO result_days VALUES (?, ?, ?, ?, ?, ?)",
        (check, day, *sums, pack(found, day)),
    )
    connection.execute(f"DELETE FROM results WHERE {where}", bounds)  # noqa: S608 - our own words


def pack(found: Sequence[Row], day: int) -> bytes:
    """Return the results of a day, which are sorted by time; nothing of them is lost."""
    times = [day * DAY, *(row[0] for row in found)]
    durations = [row[2] for row in found]
    unit, numbers = 1, durations
    if all(abs(each) < _MICROSECONDS and each == round(each, 6) for each in durations):
        unit, numbers = _MICROSECONDS, [round(each * _MICROSECONDS) for each in durations]
    steps = [after - before for before, after in pairwise(times)]
    runs = [(*key, len([*rows])) for key, rows in groupby(found, key=lambda row: (row[1], row[4], row[3]))]
    return zlib.compress(json.dumps([unit, steps, numbers, runs], separators=(",", ":")).encode())


def unpack(packed: bytes, day: int) -> list[Row]:
    """Return the results of a day, oldest first. Raise DamagedError."""
    try:
        unit, steps, numbers, runs = json.loads(zlib.decompress(packed))
        times = accumulate(steps, initial=day * DAY)
        next(times)
        durations = [each / unit for each in numbers]
        same = chain.from_iterable(repeat((status, message, each), count) for status, each, message, count in runs)
        return [
            (time, status, duration, message, maintenance)
            for time, duration, (status, message, maintenance) in zip(times, durations, same, strict=True)
        ]
    except (ValueError, TypeError, LookupError, ZeroDivisionError, OverflowError, zlib.error, RecursionError) as error:
        raise DamagedError(f"the results of a day cannot be read: {error}") from error


def rows(connection: sqlite3.Connection, check: int, start: int, end: int) -> list[Row]:
    """Return the results of a check after `start` and up to `end`, oldest first."""
    query = f"SELECT {_COLUMNS} FROM results WHERE check_id = ? AND time > ? AND time <= ? ORDER BY time"  # noqa: S608
    single = connection.execute(query, (check, start, end)).fetchall()
    packed = [row for row in _rows_of_days(connection, check, start // DAY, end // DAY) if start < row[0] <= end]
    found = packed + single
    if packed and single and packed[-1][0] > single[0][0]:  # some were stored late
        found.sort()
    return found


def _rows_of_days(connection: sqlite3.Connection, check: int, first: int, last: int) -> Iterator[Row]:
    days = connection.execute(f"{_DAYS} ORDER BY day", (check, first, last))
    return chain.from_iterable(unpack(packed, day) for day, packed in days)


def last_rows(connection: sqlite3.Connection, check: int, end: int, count: int) -> list[Row]:
    """Return the last results of a check up to `end`, oldest first."""
    query = f"SELECT {_COLUMNS} FROM results WHERE check_id = ? AND time <= ? ORDER BY time DESC LIMIT ?"  # noqa: S608
    found: list[Row] = connection.execute(query, (check, end, count)).fetchall()
    first = found[-1][0] if len(found) == count else 0
    packed = 0
    for day, content in connection.execute(f"{_DAYS} ORDER BY day DESC", (check, first // DAY, end // DAY)):
        several = [row for row in unpack(content, day) if row[0] <= end]
        found += several
        packed += len(several)
        if packed >= count:
            break
    return sorted(found)[-count:]


def last_decided(connection: sqlite3.Connection, check: int, end: int) -> Row | None:
    """Return the last result of a check up to `end` that was not skipped."""
    time = connection.execute(_DECIDED, (check, end)).fetchone()[0] or 0
    days = connection.execute(
        f"{_DAYS} AND decided ORDER BY day DESC",
        (check, time // DAY, end // DAY),
    )
    for day, packed in days:
        found = [row for row in unpack(packed, day) if time < row[0] <= end and row[1] < _SKIPPED]
        if found:
            return found[-1]
    return next(iter(rows(connection, check, time - 1, time)), None) if time else None


def count_packed(connection: sqlite3.Connection, check: int, moments: Sequence[int]) -> list[tuple[int, int]]:
    """Return of the packed results up to each moment, from the day of the first one, how many count, and passed."""
    first, last = moments[0] // DAY, moments[-1] // DAY
    sums = {
        day: (counted, passed)
        for day, counted, passed in connection.execute(
            "SELECT day, counted, passed FROM result_days WHERE check_id = ? AND day >= ? AND day <= ?",
            (check, first, last),
        )
    }
    found: list[tuple[int, int]] = []
    counted = passed = 0
    begin = first
    for moment in moments:
        day = moment // DAY
        whole = [sums[each] for each in range(begin, day) if each in sums]
        counted, passed = counted + sum(each for each, _ in whole), passed + sum(each for _, each in whole)
        begin = day
        some = _count(
            [row for row in _rows_of_days(connection, check, day, day) if row[0] <= moment] if day in sums else ()
        )
        found.append((counted + some[0], passed + some[1]))
    return found


def _count(found: Iterable[Row]) -> tuple[int, int]:
    counted = [row[1] for row in found if row[1] <= _COUNTED and not row[4]]
    return len(counted), sum(status <= _PASSING for status in counted)


def all_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, Row]]:
    """Return all results with the id of their check, by time, then by check."""
    single = connection.execute(f"SELECT check_id, {_COLUMNS} FROM results ORDER BY time, check_id")  # noqa: S608
    days = connection.execute("SELECT day, check_id, packed FROM result_days ORDER BY day, check_id")
    packed = chain.from_iterable(_of_day(day, several) for day, several in groupby(days, key=lambda row: row[0]))
    return heapq.merge(packed, ((row[0], row[1:]) for row in single), key=lambda each: (each[1][0], each[0]))


def _of_day(day: int, several: Iterable[tuple[int, int, bytes]]) -> list[tuple[int, Row]]:
    found = [(check, row) for _, check, packed in several for row in unpack(packed, day)]
    return sorted(found, key=lambda each: (each[1][0], each[0]))


def drop_days(connection: sqlite3.Connection, moments: Iterable[int]) -> None:
    """Drop the packed days of these runs that have no other run any more."""
    for day in {moment // DAY for moment in moments}:
        bounds = day * DAY, day * DAY + DAY
        if not connection.execute("SELECT 1 FROM runs WHERE time >= ? AND time < ?", bounds).fetchone():
            connection.execute("DELETE FROM result_days WHERE check_id IN (SELECT id FROM checks) AND day = ?", (day,))


def drop_unreadable(connection: sqlite3.Connection) -> None:
    """Drop what no run stored: results with values of another type, and packed days that cannot be read."""
    connection.execute(_DROP_UNREADABLE)
    for key, day, packed in connection.execute("SELECT rowid, day, packed FROM result_days").fetchall():
        try:
            unpack(packed, day)
        except DamagedError:
            connection.execute("DELETE FROM result_days WHERE rowid = ?", (key,))
