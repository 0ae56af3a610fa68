"""Packed results: a day of a check in one row, from which every result is read as it was stored."""

import contextlib
import json
import shutil
import sqlite3
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from healthchecks.plugin import history
from healthchecks.plugin.history import FinishedRun, archive, database, migration, queries, record
from healthchecks.plugin.history.archive import DamagedError
from healthchecks.plugin.history.export import export
from healthchecks.plugin.result import Result, Status
from tests.reliability import reliability

START = datetime(2026, 11, 24, tzinfo=UTC)
DAY = 86400
NOW = int(START.timestamp())


def run(seconds, status=Status.OK, message=""):
    started = START + timedelta(seconds=seconds)
    return FinishedRun([Result("job", "a", "job[a]", status, message, 0.0123456, started, "here")], started, 1.0)


def query(directory, text, *values):
    with contextlib.closing(sqlite3.connect(directory / history.NAME)) as connection, connection:
        return connection.execute(text, values).fetchall()


def fill(directory, days, *, status=2):
    """Results of every hour of so many days before START, as a version without packed days has them."""
    directory.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(directory / history.NAME, isolation_level=None)) as old:
        for step in migration.STEPS[:3]:
            step(old)
        old.execute("PRAGMA user_version = 3")
        old.execute("INSERT INTO checks (name, target, label, seen) VALUES ('job', 'a', 'job[a]', ?)", (NOW,))
        for hour in range(24 * days):
            time = NOW - (hour + 1) * 3600
            old.execute("INSERT INTO runs (time, seconds, interrupted) VALUES (?, 1, ?)", (time, hour % 7 == 0))
            values = 1, time, status if hour % 10 == 0 else 0, hour / 7, "why" * (hour % 10 == 0), hour % 5 == 0
            old.execute("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", values)


def exported(directory):
    export(directory, directory / "all.jsonl")
    return [json.loads(line) for line in (directory / "all.jsonl").read_text().splitlines()]


ROWS = st.lists(
    st.tuples(
        st.integers(0, DAY - 1), st.integers(0, 5), st.floats(0, allow_infinity=False), st.text(max_size=5),
        st.integers(0, 1),
    ),
    unique_by=lambda row: row[0],
    min_size=1,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(ROWS, st.booleans())
@example([(0, 0, 1.001, "", 0)], True)  # 1.001 * 1e6 is less than 1001000
def test_a_packed_day_has_every_result_as_it_was(found, are_rounded):
    """Durations of this version have six decimal places, those of earlier ones all that Python gave them."""
    stored = sorted(
        (7 * DAY + time, status, round(seconds % 1e5, 6) if are_rounded else seconds, message, maintenance)
        for time, status, seconds, message, maintenance in found
    )
    assert archive.unpack(archive.pack(stored, 7), 7).rows() == stored


GOOD, BAD, SKIPPED = [(1, 0, 0), (5, 0, 0)], [(3, 2, 0)], [(4, 5, 0)]  # hour, status, maintenance
DAYS = st.lists(
    st.one_of(
        st.sampled_from((GOOD, BAD, SKIPPED)),  # as most days are
        st.lists(
            st.tuples(st.integers(0, 5), st.sampled_from((0, 0, 1, 2, 4, 5)), st.integers(0, 1)),
            unique_by=lambda row: row[0],
            max_size=3,
        ),
    ),
    min_size=3,
    max_size=9,
)


@settings(max_examples=200, deadline=None)
@given(DAYS, st.sets(st.integers(0, 50)), st.integers(20 * DAY, 22 * DAY), st.booleans())
@example([GOOD, GOOD, [(0, 0, 1)], GOOD, GOOD], {4}, 20 * DAY, False)
@example([BAD, SKIPPED, GOOD, GOOD], set(), 20 * DAY, False)
def test_a_day_without_failures_is_left_out_only_where_nothing_changed(days, late, start, joined):
    """Of packed days and of results that were stored late, before or after the next run."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for step in migration.STEPS:
            step(connection)
        connection.execute("INSERT INTO checks (id, name, target, label, seen) VALUES (1, 'job', 'a', 'job[a]', 0)")
        found = [
            (1, day * DAY + hour * 3600, status, 0.1, f"why {day}", maintenance)
            for day, rows in enumerate(days, 20)
            for hour, status, maintenance in sorted(rows)
        ]
        for is_late in (False, True):
            rows = [row for place, row in enumerate(found) if (place in late) is is_late]
            connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", rows)
            if joined or not is_late:
                archive.pack_old(connection, 100 * DAY)
        end, since = (20 + len(days)) * DAY, (19 + len(days)) * DAY
        lately = archive.changing_results(connection, 1, start, end, since)
        assert lately.part(since, end).rows() == [row[1:] for row in found if row[1] > since]
        expected = queries.changes_in([history.store.point(*row[1:]) for row in found])
        changes = queries.changes_of(connection, 1, lately)
        assert [each for each in changes if each.time > start] == [each for each in expected if each.time > start]


def test_a_day_of_which_a_part_is_missing_is_damaged():
    packed = zlib.compress(json.dumps([1, [5, 6], [0.1], [[0, 0, "", 2]]]).encode())
    with pytest.raises(DamagedError, match="some are missing"):
        archive.unpack(packed, 7)


@reliability(
    "History",
    fault="the history has results of years, of an earlier release",
    promise="the runs pack them little by little; page and export have each of them before, meanwhile and afterwards",
)
def test_results_are_packed_little_by_little_and_nothing_changes(tmp_path, monkeypatch):
    fill(tmp_path / "state", 100)
    shutil.copytree(tmp_path / "state", tmp_path / "unpacked")
    monkeypatch.setattr(archive, "_MOST_PACKED", 0)
    data = [record(tmp_path / "unpacked", 400, run(minute * 60)) for minute in range(3)]
    expected, before = data[-1].checks, exported(tmp_path / "unpacked")
    monkeypatch.setattr(archive, "_MOST_PACKED", 40)
    counts = []
    for minute in range(3):
        found = record(tmp_path / "state", 400, run(minute * 60))
        assert found.errors == []
        assert found.checks == data[minute].checks
        assert exported(tmp_path / "state") == before[: 2400 + minute + 1]
        counts.append(query(tmp_path / "state", "SELECT count(*) FROM result_days")[0][0])
    assert counts == [40, 80, 100]
    assert query(tmp_path / "state", "SELECT count(*) FROM results") == [(3,)]
    assert expected[0].uptimes[90].total > 1500
    assert len(before) == 2403


def test_results_that_were_stored_late_join_their_day(tmp_path):
    """Also where the day was packed long before: each is shown, counted and exported in its place."""
    fill(tmp_path, 20)
    record(tmp_path, 400, run(0))
    packed = query(tmp_path, "SELECT count(*) FROM result_days")
    late = [run(-5 * DAY + 1800, Status.ERROR, "late"), run(-5 * DAY + 1802)]
    for each in late:
        data = record(tmp_path, 400, each)
    data = record(tmp_path, 400, run(60))
    assert query(tmp_path, "SELECT count(*) FROM result_days") == packed
    assert query(tmp_path, "SELECT count(*) FROM results WHERE message = 'late'") == [(0,)]
    assert [each.message for each in data.checks[0].changes].count("late") == 1
    lines = exported(tmp_path)
    assert [each["time"] for each in lines] == sorted(each["time"] for each in lines)
    assert [each["message"] for each in lines].count("late") == 1
    assert len(lines) == 480 + 4


def test_a_check_that_runs_seldom_has_its_bars_and_its_last_change_from_packed_days(tmp_path):
    for week in range(70, -1, -1):
        data = record(tmp_path, 4000, run(-week * 7 * DAY, Status.FAILED if week > 1 else Status.OK))
    past = data.checks[0]
    assert query(tmp_path, "SELECT count(*) FROM results") == [(1,)]
    assert [str(each.status) for each in past.recent] == ["failed"] * 58 + ["ok"] * 2
    assert past.uptimes[30].total == 5
    skipped = [record(tmp_path, 4000, run(day * DAY, Status.SKIPPED)) for day in range(1, 8)]
    changes = record(tmp_path, 4000, run(8 * DAY, Status.FAILED, "again")).checks[0].changes
    assert [(each.before, each.message) for each in changes] == [(history.store.Kind.PASSING, "again")]
    assert skipped[-1].errors == []


def test_packed_days_go_when_the_last_of_their_runs_is_too_old(tmp_path):
    fill(tmp_path, 10)
    for hour in range(200):
        record(tmp_path, 8, run(hour * 3600))
    assert query(tmp_path, "SELECT min(day) FROM result_days")[0][0] >= (NOW + 199 * 3600) // DAY - 9


@reliability(
    "History",
    fault="a packed day of results is damaged, or a row has values that no run stored",
    promise="only that is lost: a new history has all the others, the damaged file is kept, and the run reports it",
)
def test_a_damaged_day_costs_that_day_only(tmp_path):
    fill(tmp_path / "packed", 60)
    assert record(tmp_path / "packed", 400, run(0)).errors == []
    day = (NOW - 30 * DAY) // DAY
    query(tmp_path / "packed", "UPDATE result_days SET packed = x'00' WHERE day = ?", day)
    fill(tmp_path / "row", 60)
    query(tmp_path / "row", "UPDATE results SET message = x'00' WHERE time = ?", NOW - 30 * DAY)
    for name, lost in (("packed", 24), ("row", 1)):
        data = record(tmp_path / name, 400, run(60))
        assert "the history was damaged: renamed to" in data.errors[0]
        assert len(exported(tmp_path / name)) == 60 * 24 + (name == "packed") + 1 - lost
        assert record(tmp_path / name, 400, run(120)).errors == []


def test_a_damaged_file_keeps_its_packed_days(tmp_path):
    fill(tmp_path, 60)
    record(tmp_path, 400, run(0))
    before = exported(tmp_path)
    database.renew(tmp_path / history.NAME)
    assert exported(tmp_path) == before
