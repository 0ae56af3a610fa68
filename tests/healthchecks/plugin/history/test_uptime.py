"""Uptime equals a slow, obvious count, on any history."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from healthchecks.plugin.dashboard.card import format_uptime
from healthchecks.plugin.history import FinishedRun, Uptime, opened
from healthchecks.plugin.history.queries import UPTIME_DAYS, changes_in, interval_of, uptimes
from healthchecks.plugin.history.store import Kind, Point
from healthchecks.plugin.result import Result, Status

# Two weeks around the end of summer time in Berlin, on 25 October 2026.
BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 10, 18, tzinfo=BERLIN)
HOUR = timedelta(hours=1)


def histories():
    """Runs with gaps, and steps of the clock to both sides; each with any result."""
    steps = st.one_of(
        st.integers(60, 1200),
        st.integers(3600, 40 * 86400),
        st.integers(-8000, -1),
        st.sampled_from([0, 1, 3600, 86400]),
    )
    return st.lists(st.tuples(steps, st.sampled_from(list(Status)), st.booleans()), min_size=1, max_size=40)


def slowly(points, now, days):
    """Each result by itself, by the words of the page."""
    counted = [
        each
        for each in points
        if now - timedelta(days=days).total_seconds() < each.time <= now
        and not each.maintenance
        and each.status not in (Status.BLOCKED, Status.SKIPPED)
    ]
    return Uptime(sum(each.status in (Status.OK, Status.SLOW) for each in counted), len(counted))


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(-90 * 86400, 90 * 86400))
@example([(600, Status.OK, False)] * 30 + [(3600, Status.FAILED, False)], 0)
def test_uptime_is_what_a_slow_count_says(steps, later):
    """Gaps, steps of the clock, summer time, maintenance, blocked and skipped runs included."""
    with tempfile.TemporaryDirectory() as name, opened(Path(name), 4000) as history:
        moment = START
        for step, status, maintenance in steps:
            moment = (moment.astimezone(UTC) + timedelta(seconds=step)).astimezone(BERLIN)
            result = Result("job", "a", "job[a]", status, "", 0.1, moment, "here", maintenance=maintenance)
            history.add(FinishedRun([result], moment, 1.0))
        points, now = history.recent(("job", "a"), 1000), int(moment.timestamp()) + later
        assert len(points) == len(steps)
        expected = {days: slowly(points, now, days) for days in UPTIME_DAYS}
        assert uptimes(history.connection, 1, now) == expected


@pytest.mark.parametrize(
    ("passed", "total", "words"),
    [
        (0, 0, "no data"), (1, 1, "100 %"), (0, 1, "0.0 %"), (1, 2, "50.0 %"), (9999, 10000, "99.99 %"),
        (99999, 100000, "99.99 %"), (2, 3, "66.6 %"), (949, 1000, "94.90 %"),
    ],
)  # fmt: skip
def test_uptime_in_words_is_cut_and_never_flatters(passed, total, words):
    assert format_uptime(Uptime(passed, total)) == words


def points(text):
    """One result an hour: o ok, s slow, f failed, e error, b blocked, k skipped; capitals in maintenance."""
    states = {"o": "ok", "s": "slow", "f": "failed", "e": "error", "b": "blocked", "k": "skipped"}
    return [
        Point(3600 * hour, Status(states[letter.lower()]), 0.1, "", letter.isupper())
        for hour, letter in enumerate(text)
    ]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("ooso", []),
        ("offo", [(1, "failing", 2), (3, "passing", None)]),
        ("ff", [(0, "failing", None)]),
        ("okfko", [(2, "failing", 2), (4, "passing", None)]),
        ("obfo", [(1, "blocked", 1), (2, "failing", 1), (3, "passing", None)]),
        ("fe", [(0, "failing", None)]),
        ("oOOo", [(1, None, 2), (3, None, None)]),
        ("oFo", [(1, "failing", 1), (2, "passing", None)]),
        ("", []),
        ("kkk", []),
    ],
)
def test_changes_of_a_check(text, changes):
    """When a check began to fail, was blocked, recovered; maintenance by itself where nothing else changed."""
    found = changes_in(points(text))
    assert [
        (each.time // 3600, each.kind and each.kind.name.lower(), each.lasted and each.lasted // 3600) for each in found
    ] == [(hour, kind, lasted) for hour, kind, lasted in changes]


def test_the_interval_is_the_usual_one():
    """By hand in between, or after a night off, it stays what cron makes of it."""
    assert interval_of([0, 600]) is None
    assert interval_of([0, 600, 1200, 1230, 1800, 2400, 90000, 90600]) == 600
    assert interval_of([day * 86400 for day in range(5)]) == 86400


def test_a_failing_check_that_was_blocked_fails_again():
    found = changes_in(points("fbf"))
    assert [each.kind for each in found] == [Kind.FAILING, Kind.BLOCKED, Kind.FAILING]
