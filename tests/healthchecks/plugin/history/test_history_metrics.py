"""Metrics in the history: what checks report comes out, each value at first, then by hour, then by day."""

import contextlib
import itertools
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from healthchecks.plugin import history
from healthchecks.plugin.history import FinishedRun, MetricPoint, metric_points, postpone, record
from healthchecks.plugin.history.metrics import HOURS_DAYS, VALUES_DAYS, MetricColumns
from healthchecks.plugin.history.recorder import BACKLOG
from healthchecks.plugin.metric import Metric
from healthchecks.plugin.result import Result, Status

START = datetime(2026, 11, 24, tzinfo=UTC)
HOUR, DAY = 3600, 86400


def run(seconds, *metrics, status=Status.OK, target="c0", **facts):
    """A run so many seconds after START, in which one check reported these metrics: a number is that of `used`."""
    started = START + timedelta(seconds=seconds)
    reported = [each if isinstance(each, Metric) else Metric("used", each, "ratio", 0.9) for each in metrics]
    result = Result("disk", target, f"disk[{target}]", status, "", 0.5, started, "here", metrics=reported)
    return FinishedRun([result], started, 1.0, **facts)


def store(directory, *runs, days=400):
    """Store many runs, without the queries of the page."""
    with history.opened(directory, days) as opened:
        for each in runs:
            opened.add(each)


def at(seconds):
    return int(START.timestamp()) + seconds


def points(directory, since=0, name="used", target="c0"):
    return metric_points(directory, "disk", target, name, since)


def rows(directory, table):
    with contextlib.closing(sqlite3.connect(directory / history.NAME)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


def test_metrics_come_back_with_unit_and_limits_the_main_one_first(tmp_path):
    """The main one with all its points, another with the last one; limits are those of the last report."""
    record(tmp_path, 400, run(0, Metric("used", 0.5, "ratio", 0.8), Metric("free", 7e9, "bytes", None, 1e9)))
    data = record(tmp_path, 400, run(600, Metric("used", 0.6, "ratio", 0.9), Metric("free", 6e9, "bytes", None, 1e9)))
    (check,) = data.checks
    used, free = check.metrics
    assert (used.name, used.unit, used.limit, used.lower_limit) == ("used", "ratio", 0.9, None)
    assert used.points == [MetricPoint(at(0), 0.5, 0.5, 0.5), MetricPoint(at(600), 0.6, 0.6, 0.6)]
    assert (free.name, free.unit, free.limit, free.lower_limit) == ("free", "bytes", None, 1e9)
    assert free.points == [MetricPoint(at(600), 6e9, 6e9, 6e9)]


def test_each_check_has_its_own_metrics(tmp_path):
    record(tmp_path, 400, run(0, 0.1))
    record(tmp_path, 400, run(60, target="none"))
    data = record(tmp_path, 400, run(120, 0.2, target="other"))
    found = {check.target: [each.points[-1].value for each in check.metrics] for check in data.checks}
    assert found == {"c0": [0.1], "none": [], "other": [0.2]}
    assert [each.value for each in points(tmp_path, target="other")] == [0.2]


def test_a_failed_check_that_lacks_metrics_keeps_their_order(tmp_path):
    used, free = Metric("used", 0.5), Metric("free", 7)
    record(tmp_path, 400, run(0, used, free))
    data = record(tmp_path, 400, run(600, free, status=Status.FAILED))
    assert [each.name for each in data.checks[0].metrics] == ["used", "free"]
    data = record(tmp_path, 400, run(1200, free, used))
    assert [each.name for each in data.checks[0].metrics] == ["free", "used"]


def test_points_are_fine_for_two_weeks_then_hours_then_days(tmp_path):
    """With the least, the mean and the most of each; all of them together without a gap."""
    each_day = ((0, 1.0), (600, 3.0), (4200, 5.0))
    store(tmp_path, *(run(day * DAY + seconds, value) for day in range(120) for seconds, value in each_day))
    found = points(tmp_path)
    spans = {after.time - before.time for before, after in itertools.pairwise(found)}
    assert spans == {DAY, HOUR, DAY - HOUR, 600, 3600, DAY - 4200}
    values = [each for each in found if each.time >= at((119 - VALUES_DAYS) * DAY)]
    assert [each.value for each in values] == [1.0, 3.0, 5.0] * (VALUES_DAYS + 1)
    assert found[0] == MetricPoint(at(0), 1.0, 3.5, 5.0)  # the mean of the hours' means
    hours = [each for each in found if at((119 - HOURS_DAYS) * DAY) <= each.time < values[0].time]
    assert hours[:2] == [
        MetricPoint(at((119 - HOURS_DAYS) * DAY), 1.0, 2.0, 3.0),
        MetricPoint(at((119 - HOURS_DAYS) * DAY + HOUR), 5.0, 5.0, 5.0),
    ]
    assert len(rows(tmp_path, "metric_values")) == (VALUES_DAYS + 1) * 3


def test_points_of_the_page_have_no_gap(tmp_path):
    store(tmp_path, *(run(hour * HOUR + 60, float(hour)) for hour in range(24 * 30 - 1)))
    data = record(tmp_path, 400, run((24 * 30 - 1) * HOUR + 60, 24 * 30 - 1))
    (metric,) = data.checks[0].metrics
    times = [each.time for each in metric.points]
    assert times == sorted(set(times))
    assert times[0] == at(0)
    assert times[-1] == at((24 * 30 - 1) * HOUR + 60)
    assert max(after - before for before, after in itertools.pairwise(times)) == DAY
    last_week = [each for each in times if each > times[-1] - 6 * DAY]
    assert max(after - before for before, after in itertools.pairwise(last_week)) <= HOUR + 60
    assert metric.points[0].most == 23
    assert metric.points[-1].least == 24 * 30 - 1


def test_points_since_a_moment(tmp_path):
    store(tmp_path, *(run(hour * HOUR, float(hour)) for hour in range(5)))
    assert [each.value for each in points(tmp_path, at(3 * HOUR))] == [3.0, 4.0]
    assert points(tmp_path, at(5 * HOUR)) == []


@pytest.mark.parametrize("content", [None, b"", b"not a database" * 500])
def test_points_of_no_history_are_none(tmp_path, content):
    if content is not None:
        (tmp_path / history.NAME).write_bytes(content)
    assert points(tmp_path) == ()
    assert {each.name for each in tmp_path.iterdir()} <= {history.NAME}


def test_points_of_an_unknown_metric_are_none(tmp_path):
    record(tmp_path, 400, run(0, 0.5))
    assert points(tmp_path, name="free") == ()


def test_a_run_that_waited_is_in_its_hour(tmp_path):
    """However late: the hour has all values, whenever they were stored."""
    late = run(1200, 9.0)
    store(tmp_path, *(run(hour * HOUR, 1.0) for hour in range(30)))
    postpone(tmp_path, late)
    data = record(tmp_path, 400, run(30 * HOUR, 1.0))
    assert data.notices == ["stored 1 earlier run that had to wait"]
    first = int(START.timestamp())
    assert (1, first // HOUR, 1.0, 5.0, 9.0) in rows(tmp_path, "metric_hours")
    assert (1, first // DAY, 1.0, pytest.approx(1 + 4 / 24), 9.0) in rows(tmp_path, "metric_days")


def test_huge_values_have_a_finite_mean(tmp_path):
    for minute, value in enumerate((1.7e308, 1.7e308, 1.6e308)):
        record(tmp_path, 400, run(minute * 60, value))
    data = record(tmp_path, 400, run(2 * HOUR, -1.7e308))
    assert data.errors == []
    ((_, _, least, mean, most),) = rows(tmp_path, "metric_hours")
    assert least <= mean <= most == 1.7e308


def test_a_clock_that_is_years_ahead_costs_one_day(tmp_path):
    """Later runs have their hours as ever."""
    store(tmp_path, *(run(day * DAY, float(day)) for day in range(10)), run(3650 * DAY, 99.0))
    assert [each.value for each in points(tmp_path)] == [*map(float, range(1, 10)), 99.0]
    for hour in range(3):
        data = record(tmp_path, 400, run(10 * DAY + hour * HOUR, 10.0))
    assert data.checks[0].metrics[0].points[-1].value == 10.0
    assert len([row for row in rows(tmp_path, "metric_hours") if row[2] == 10.0]) == 2


def test_metrics_are_forgotten_with_their_values(tmp_path):
    """Those of a check that is gone, and those that a check reports no longer; a short `max_age` is for all."""
    later = (run(hour * HOUR + 120, 0.5) for hour in range(24 * 8))
    store(tmp_path, run(0, 0.5, target="gone"), run(60, Metric("old", 1)), *later, days=3)
    assert [row[2] for row in rows(tmp_path, "metrics")] == ["used"]
    assert [row[2] for row in rows(tmp_path, "checks")] == ["c0"]
    for table in ("metric_values", "metric_hours", "metric_days"):
        assert {row[0] for row in rows(tmp_path, table)} == {rows(tmp_path, "metrics")[0][0]}
    assert min(row[1] for row in rows(tmp_path, "metric_hours")) * HOUR >= at(4 * DAY)


def test_a_run_that_waited_keeps_its_metrics(tmp_path):
    """With units and limits; one with a metric that cannot be is left for a person."""
    postpone(tmp_path, run(0, Metric("used", 0.5, "ratio", 0.9), Metric("free", 7e9, "bytes", None, 1e9)))
    postpone(tmp_path, run(60, 0.7, name="odd"))
    (odd,) = (tmp_path / BACKLOG).glob("*odd.json")
    odd.write_text(odd.read_text().replace("0.7", "NaN"))
    data = record(tmp_path, 400, run(600))
    assert data.errors == [f"1 of the runs that had to wait cannot be stored: see {tmp_path / BACKLOG}"]
    used, free = data.checks[0].metrics
    assert used == history.MetricHistory("used", "ratio", 0.9, None, MetricColumns((at(0),), *[(0.5,)] * 3))
    assert free == history.MetricHistory("free", "bytes", None, 1e9, MetricColumns((at(0),), *[(7e9,)] * 3))


def test_a_run_that_an_earlier_release_left_waiting_has_no_metrics(tmp_path):
    postpone(tmp_path, run(0, 0.5))
    (path,) = (tmp_path / BACKLOG).iterdir()
    document = json.loads(path.read_text())
    del document["results"][0]["metrics"]
    path.write_text(json.dumps(document))
    data = record(tmp_path, 400, run(600))
    assert (len(data.checks[0].recent), data.checks[0].metrics) == (2, ())


def test_metrics_are_kept_of_a_damaged_file(tmp_path):
    store(tmp_path, *(run(day * DAY, 0.5) for day in range(120)))
    kept = {table: rows(tmp_path, table) for table in ("metric_values", "metric_hours", "metric_days")}
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as connection, connection:
        connection.execute("DROP TABLE runs")
    assert "the history was damaged" in record(tmp_path, 400, run(120 * DAY, 0.5)).errors[0]
    for table, before in kept.items():
        assert len(before) > 10
        assert set(before[5:]) <= set(rows(tmp_path, table))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE metric_values SET value = 'much'",
        "UPDATE metric_values SET value = 9e999",
        "UPDATE metric_hours SET least = 'little'",
        "UPDATE metrics SET unit = x'ff'",
        "UPDATE metrics SET name = x'ff', check_id = 1",
        "UPDATE metrics SET upper_limit = 'high'",
        "UPDATE metrics SET place = 'first'",
        "DROP TABLE metric_days",
        "UPDATE facts SET value = 'yesterday'",
    ],
)
def test_values_that_no_run_stored_harm_no_later_run(tmp_path, change):
    store(tmp_path, *(run(hour * HOUR, 0.5) for hour in range(40)))
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as connection, connection:
        connection.execute(change)
    record(tmp_path, 400, run(40 * HOUR, 0.5))
    data = record(tmp_path, 400, run(41 * HOUR, 0.5))
    assert data.errors == []
    assert data.checks[0].metrics[0].points[-1].time == at(41 * HOUR)
