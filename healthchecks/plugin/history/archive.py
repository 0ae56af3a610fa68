"""Results in the history: one row each for the present day, one packed row for each check and day before.

A packed day takes a sixth of the space, and has the sums for the uptime, so that the page reads few old results. It is
JSON, compressed by zlib: the unit of the durations (parts of a second), the distances between the times, the first from
the start of the day; the durations; and runs in a row with the same status, maintenance and message.

Functions raise sqlite3.Error, of which DamagedError is for a day that cannot be read.
"""

import functools
import heapq
import json
import sqlite3
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, groupby, pairwise, repeat
from typing import NamedTuple

Row = tuple[int, int, float, str, int]
"""A result: time in unix seconds, status, duration in seconds, message, maintenance."""
State = tuple[int, str, int]
"""Of a result: status, message, maintenance."""
DAY = 86400
_MOST_PACKED = 300  # days of checks in one run: those of a year are packed little by little
_MICROSECONDS = 1_000_000
_COUNTED, _PASSING, _SKIPPED = 3, 1, 5  # status codes: up to which a result counts for uptime, passes; changes nothing
_COLUMNS = "time, status, seconds, message, maintenance"
_OLD = """
SELECT id, (SELECT min(time) FROM results WHERE check_id = checks.id) AS first FROM checks WHERE first < ?
"""
_DAYS = "SELECT day, packed FROM result_days WHERE check_id = ? AND day >= ? AND day <= ?"
_QUIET_DAYS = """
SELECT day, packed, decided > 0 AND decided = passed FROM result_days WHERE check_id = ? AND day >= ? AND day <= ?
ORDER BY day
"""
_DECIDED = "SELECT max(time) FROM results WHERE check_id = ? AND time <= ? AND status < 5"
_DROP_UNREADABLE = """
DELETE FROM results WHERE typeof(time) != 'integer' OR typeof(status) != 'integer' OR typeof(seconds) != 'real'
    OR typeof(message) != 'text' OR typeof(maintenance) != 'integer'
"""


class DamagedError(sqlite3.DatabaseError):
    """A history with values that no run stored."""


class ResultColumns(NamedTuple):
    """Results of one check, oldest first: of many, columns are made faster than rows."""

    times: list[int]
    durations: list[float]
    states: list[State]

    def rows(self) -> list[Row]:
        """Return the same as rows."""
        return [
            (time, status, duration, message, maintenance)
            for time, duration, (status, message, maintenance) in zip(*self, strict=True)
        ]

    def part(self, start: int, end: int) -> "ResultColumns":
        """Return those after `start` and up to `end`."""
        first, last = bisect_right(self.times, start), bisect_right(self.times, end)
        return ResultColumns(self.times[first:last], self.durations[first:last], self.states[first:last])

    def last(self, count: int) -> "ResultColumns":
        """Return so many of the last ones."""
        return ResultColumns(self.times[-count:], self.durations[-count:], self.states[-count:])


def pack_old(connection: sqlite3.Connection, moment: int) -> bool:
    """Pack the results of days that are over, up to a limit: those of a year need some hours of runs.

    Return whether the limit was reached.
    """
    end = moment // DAY * DAY
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
    found = sorted([*found, *_rows_of_day(connection, check, day)])
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


@functools.lru_cache(maxsize=16)  # the page asks for some days of a check more than once
def unpack(packed: bytes, day: int) -> ResultColumns:
    """Return the results of a day, which nobody changes. Raise DamagedError."""
    try:
        unit, (first, *steps), numbers, runs = json.loads(zlib.decompress(packed).decode())
        times = [*accumulate(steps, initial=day * DAY + first)]
        durations = [each / unit for each in numbers]
        states = [*chain.from_iterable(repeat((status, message, each), count) for status, each, message, count in runs)]
    except (ValueError, TypeError, LookupError, ZeroDivisionError, OverflowError, zlib.error, RecursionError) as error:
        raise DamagedError(f"the results of a day cannot be read: {error}") from error
    if not len(times) == len(durations) == len(states):
        raise DamagedError("the results of a day cannot be read: some are missing")
    return ResultColumns(times, durations, states)


def results(connection: sqlite3.Connection, check: int, start: int, end: int) -> ResultColumns:
    """Return the results of a check after `start` and up to `end`."""
    return changing_results(connection, check, start, end, all_since=start)


def changing_results(connection: sqlite3.Connection, check: int, start: int, end: int, all_since: int) -> ResultColumns:
    """Return the results after `start` and up to `end`, before `all_since` without days on which none could differ.

    Such a day and the one before it have passed results only, or skipped ones; most days do.
    """
    query = f"SELECT {_COLUMNS} FROM results WHERE check_id = ? AND time > ? AND time <= ? ORDER BY time"  # noqa: S608
    single = _to_columns(connection.execute(query, (check, start, end)).fetchall())
    days: list[ResultColumns] = []
    before, was_quiet = 0, False
    for day, packed, is_quiet in connection.execute(_QUIET_DAYS, (check, start // DAY, end // DAY)):
        late = single.part(before * DAY - 1, day * DAY + DAY - 1).times
        if day >= all_since // DAY or not (is_quiet and was_quiet) or late:
            days.append(unpack(packed, day))
        before, was_quiet = day, is_quiet
    packed = _join(days).part(start, end)
    if packed.times and single.times and packed.times[-1] > single.times[0]:  # some were stored late
        return _to_columns(sorted([*packed.rows(), *single.rows()]))
    return _join([packed, single])


def _join(several: Iterable[ResultColumns]) -> ResultColumns:
    joined = ResultColumns([], [], [])
    for times, durations, states in several:
        joined.times.extend(times)
        joined.durations.extend(durations)
        joined.states.extend(states)
    return joined


def _to_columns(rows: Sequence[Row]) -> ResultColumns:
    if not rows:
        return ResultColumns([], [], [])
    times, statuses, durations, messages, maintenances = zip(*rows, strict=True)
    return ResultColumns([*times], [*durations], [*zip(statuses, messages, maintenances, strict=True)])


def _days(connection: sqlite3.Connection, check: int, first: int, last: int) -> Iterable[tuple[int, bytes]]:
    return connection.execute(f"{_DAYS} ORDER BY day", (check, first, last))


def _rows_of_day(connection: sqlite3.Connection, check: int, day: int) -> list[Row]:
    return [row for _, packed in _days(connection, check, day, day) for row in unpack(packed, day).rows()]


def last_rows(connection: sqlite3.Connection, check: int, end: int, count: int) -> list[Row]:
    """Return the last results of a check up to `end`, oldest first."""
    query = f"SELECT {_COLUMNS} FROM results WHERE check_id = ? AND time <= ? ORDER BY time DESC LIMIT ?"  # noqa: S608
    found: list[Row] = connection.execute(query, (check, end, count)).fetchall()
    first = found[-1][0] if len(found) == count else 0
    packed = 0
    for day, content in connection.execute(f"{_DAYS} ORDER BY day DESC", (check, first // DAY, end // DAY)):
        several = unpack(content, day).part(0, end).rows()
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
        found = [row for row in unpack(packed, day).part(time, end).rows() if row[1] < _SKIPPED]
        if found:
            return found[-1]
    return next(iter(results(connection, check, time - 1, time).rows()), None) if time else None


def count_packed(connection: sqlite3.Connection, check: int, moments: Sequence[int]) -> list[tuple[int, int]]:
    """Return of the packed results up to each moment, from the day of the first one, how many count, and passed."""
    first, last = moments[0] // DAY, moments[-1] // DAY
    query = (
        "SELECT day, counted, passed FROM result_days WHERE check_id = ? AND day >= ? AND day <= ? ORDER BY day DESC"
    )
    days = connection.execute(query, (check, first, last)).fetchall()
    found: list[tuple[int, int]] = []
    total = passed = 0
    for moment in moments:
        day = moment // DAY
        while days and days[-1][0] < day:
            _, more, more_passed = days.pop()
            total, passed = total + more, passed + more_passed
        of_day = _count_of_day(connection, check, moment) if days and days[-1][0] == day else (0, 0)
        found.append((total + of_day[0], passed + of_day[1]))
    return found


def _count_of_day(connection: sqlite3.Connection, check: int, moment: int) -> tuple[int, int]:
    """Return of the packed results of a moment's day, up to it, how many count, and passed."""
    day = moment // DAY
    total = passed = 0
    for _, packed in _days(connection, check, day, day):
        for (status, _, maintenance), several in groupby(unpack(packed, day).part(0, moment).states):
            if status <= _COUNTED and not maintenance:
                length = len([*several])
                total, passed = total + length, passed + length * (status <= _PASSING)
    return total, passed


def all_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, Row]]:
    """Return all results with the id of their check, by time, then by check."""
    single = connection.execute(f"SELECT check_id, {_COLUMNS} FROM results ORDER BY time, check_id")  # noqa: S608
    days = connection.execute("SELECT day, check_id, packed FROM result_days ORDER BY day, check_id")
    packed = chain.from_iterable(_of_day(day, several) for day, several in groupby(days, key=lambda row: row[0]))
    return heapq.merge(packed, ((row[0], row[1:]) for row in single), key=lambda each: (each[1][0], each[0]))


def _of_day(day: int, several: Iterable[tuple[int, int, bytes]]) -> list[tuple[int, Row]]:
    found = [(check, row) for _, check, packed in several for row in unpack(packed, day).rows()]
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
