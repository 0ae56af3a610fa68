"""Queries for the page. Each uses a range of the primary key (check, time).

They raise sqlite3.Error, and ValueError, TypeError, OverflowError or OSError for values that no run stored: the file
is damaged.
"""

import itertools
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from healthchecks.plugin.history import archive, metrics
from healthchecks.plugin.history.archive import DAY, ResultColumns
from healthchecks.plugin.history.store import (
    PART,
    PASSING,
    Change,
    CheckHistory,
    Kind,
    Point,
    RunRecord,
    Streak,
    Uptime,
    kind_of,
    point,
    points,
)

_CheckRow = tuple[int, str, str, str, str, str, str, int, int]
_SLOW = max(PASSING)
BARS = 60
UPTIME_DAYS = (1, 7, 30, 90)
CHANGES_DAYS = 7
GONE_DAYS = 8  # without a run, after which a check leaves the page: longer than a week, for weekly checks
MANY_CHECKS = 100
"""Above it each has the chart of a week only, and its usual duration is that of a day: or the page would be slow."""
_DISTANCES = 20  # between the last results: the usual interval is their median
_ENOUGH = 20  # results for a usual range
_COUNT = """
SELECT count(*), total(status <= 1) FROM results
WHERE check_id = ? AND time > ? AND time <= ? AND status <= 3 AND NOT maintenance
"""


def checks(database: sqlite3.Connection, now: int) -> list[CheckHistory]:
    """Return all checks that ran in the last days, up to `now`: later times are from a clock that was ahead."""
    rows = database.execute(
        "SELECT id, name, target, label, heading, reference, kind, since, streak FROM checks"
        " WHERE seen > ? ORDER BY id",
        (now - GONE_DAYS * DAY,),
    ).fetchall()
    many = len(rows) > MANY_CHECKS
    histories = metrics.histories(database, now, in_hours=many)
    usual_since = now - (1 if many else CHANGES_DAYS) * DAY
    found = ((row[0], _check_history(database, row, now, usual_since)) for row in rows)
    return [replace(each, metrics=histories.get(check, ())) for check, each in found]


def runs(database: sqlite3.Connection, now: int) -> list[RunRecord]:
    """Return the runs of the last days, oldest first."""
    rows = database.execute(
        "SELECT time, seconds, interrupted, name FROM runs WHERE time > ? AND time <= ? ORDER BY time",
        (now - CHANGES_DAYS * DAY, now),
    )
    return [
        RunRecord(time, _finite(duration), bool(interrupted), is_part=(name or "").startswith(PART))
        for time, duration, interrupted, name in rows
    ]


def uptimes(database: sqlite3.Connection, check: int, now: int) -> dict[int, Uptime]:
    """Return the uptime over each number of days; each result is counted once, shorter times add up to longer ones."""
    found: dict[int, Uptime] = {}
    starts = [now - days * DAY for days in UPTIME_DAYS]
    *earlier, (total, passed) = archive.count_packed(database, check, [*reversed(starts), now])
    single, end = Uptime(0, 0), now
    for days, start, (total_before, passed_before) in zip(UPTIME_DAYS, starts, reversed(earlier), strict=True):
        count, count_passed = database.execute(_COUNT, (check, start, end)).fetchone()
        single, end = Uptime(single.passed + int(count_passed), single.total + count), start
        found[days] = Uptime(single.passed + passed - passed_before, single.total + total - total_before)
    return found


def changes_of(database: sqlite3.Connection, check: int, columns: ResultColumns) -> list[Change]:
    """Return the changes in results of a check; the last one before them decides whether the first is a change."""
    before = archive.last_decided(database, check, columns.times[0] - 1) if columns.times else None
    return changes_in([*([point(*before)] if before else []), *_turns(columns)])


def changes_in(points: Iterable[Point]) -> list[Change]:
    """Return the changes, oldest first: failures, recoveries, blocked checks, maintenance. A skipped one is none."""
    found: list[Change] = []
    before: Kind | None = None
    maintenance = False
    for each in points:
        kind = kind_of(each.status)
        if kind is None:
            continue
        turned = kind is not before and not (before is None and kind is Kind.PASSING)
        if turned or each.maintenance != maintenance:
            new = Change(each.time, kind if turned else None, before, each.maintenance, each.message, None)
            found.append(new)
        before, maintenance = kind, each.maintenance
    return _with_lengths(found)


def interval_of(times: Sequence[int]) -> float | None:
    """Return the usual seconds between two results; None for fewer than three."""
    distances = sorted(after - before for before, after in itertools.pairwise(times[-_DISTANCES - 1 :]))
    return distances[len(distances) // 2] if len(distances) > 1 else None


def _check_history(database: sqlite3.Connection, row: _CheckRow, now: int, usual_since: int) -> CheckHistory:
    """Return the history of one check, without its metrics."""
    check, name, target, label, group, reference, kind, since, streak = row
    if not all(isinstance(each, str) for each in row[1:6]):
        raise TypeError(f"{str(row)[:100]} is no check")
    lately = archive.changing_results(database, check, now - CHANGES_DAYS * DAY, now, all_since=usual_since)
    complete = lately.part(usual_since, now)
    count = len(complete.times)
    last = complete.last(BARS).rows() if count >= BARS else archive.last_rows(database, check, now, BARS)
    recent = points(last)
    return CheckHistory(
        check=name,
        target=target,
        label=label,
        group=group,
        reference=reference,
        recent=recent,
        uptimes=uptimes(database, check, now),
        usual=usual(_passing(complete)),
        interval=interval_of([each.time for each in recent]),
        changes=changes_of(database, check, lately),
        streak=Streak(datetime.fromtimestamp(since, UTC), streak, Kind(kind)) if kind else None,
    )


def _finite(duration: float) -> float:
    if not math.isfinite(duration):
        raise ValueError(f"a run took {duration} s")
    return duration


def usual(durations: Sequence[float]) -> tuple[float, float] | None:
    """Return the range of the middle eight tenths; None for too few results."""
    if len(durations) < _ENOUGH:
        return None
    ordered = sorted(durations)
    return ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]


def _passing(columns: ResultColumns) -> list[float]:
    """Return the durations of those that passed."""
    return [each for each, state in zip(columns.durations, columns.states, strict=True) if state[0] <= _SLOW]


def _turns(columns: ResultColumns) -> list[Point]:
    """Return those that differ in more than message from the one before.

    Of many thousands, only these are made points.
    """
    turns: list[Point] = []
    before, place = None, 0
    for (status, message, maintenance), several in itertools.groupby(columns.states):
        if (status, maintenance) != before:
            turns.append(point(columns.times[place], status, columns.durations[place], message, maintenance))
        before, place = (status, maintenance), place + len([*several])
    return turns


def _with_lengths(changes: Sequence[Change]) -> list[Change]:
    ends = [each.time for each in changes[1:]]
    return [
        each._replace(lasted=end - each.time if end else None)
        for each, end in itertools.zip_longest(changes, ends, fillvalue=None)
        if each
    ]
