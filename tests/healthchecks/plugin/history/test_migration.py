"""Migration: a history of each earlier version keeps all that is in it, or stays as it was."""

import contextlib
import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healthchecks.plugin import history
from healthchecks.plugin.history import FinishedRun, archive, database, metric_points, migration, record
from healthchecks.plugin.history.export import export
from healthchecks.plugin.history.store import Kind
from healthchecks.plugin.metric import Metric
from healthchecks.plugin.result import Result, Status
from tests.reliability import reliability

# Made by the release before metrics, with a PostgreSQL, five reports and two checks in six runs.
REAL = Path(__file__).with_name("history_of_version_2.sqlite")
LAST = datetime.fromtimestamp(1796046556, UTC)  # its last run
RESULTS = (
    "SELECT name, target, time, status, seconds, message FROM results JOIN checks ON id = check_id ORDER BY 1, 2, 3"
)
NUMBERS = {
    ("shop/orders", "rows"): [0, 2, 3, 2, 0, 0],
    ("shop/names", "rows"): [0, 2, 3, 2, 0, 0],
    ("shop/largest", "value"): [0, 12, 13, 13, 0, 0],
    ("shop/age", "value"): [0, 3, 4.5, 3, 0, 0],
}


def query(path, text):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(text).fetchall()


def results(directory):
    """Return what RESULTS returns, with the packed ones."""
    with contextlib.closing(sqlite3.connect(directory / history.NAME)) as connection:
        checks = {row[0]: row[1:] for row in connection.execute("SELECT id, name, target FROM checks")}
        return sorted((*checks[check], *row[:4]) for check, row in archive.all_rows(connection))


def next_run():
    """A run of each report, a day later."""
    started = LAST + timedelta(days=1)
    results = [
        Result("report", target, f"report[{target}]", Status.OK, "", 0.1, started, "here", metrics=[Metric(name, 7.0)])
        for target, name in NUMBERS
    ]
    return FinishedRun(results, started, 1.0)


def schemas(directory):
    """Return the names in the schema of a new history, and in this one's."""
    (directory / "new").mkdir()
    record(directory / "new", 400, FinishedRun([], LAST, 1.0))
    return (
        set(query(path / history.NAME, "SELECT name, type FROM sqlite_master"))
        for path in (directory / "new", directory)
    )


@pytest.fixture
def real(tmp_path):
    shutil.copy(REAL, tmp_path / history.NAME)
    return tmp_path


@reliability(
    "History",
    fault="the history is one of an earlier release",
    promise="the first run brings it to the present schema: every result and every number of a report stays",
)
def test_a_real_history_of_version_2_keeps_results_and_numbers(real):
    before = query(REAL, RESULTS)
    data = record(real, 400, next_run())
    assert data.errors == []
    stored = results(real)
    assert len(before) == 42
    assert [row for row in stored if row[2] <= LAST.timestamp()] == before
    for (target, name), values in NUMBERS.items():
        found = metric_points(real, "report", target, name, 0)
        assert [each.value for each in found] == [*values, 7.0], target
        times = query(
            REAL, f"SELECT time FROM numbers JOIN reports ON id = report_id WHERE name = '{target}' ORDER BY 1"
        )
        assert [each.time for each in found[:-1]] == [int(time) for (time,) in times]
    shown = {(check.target, metric.name): metric.points[-1].value for check in data.checks for metric in check.metrics}
    assert shown == dict.fromkeys(NUMBERS, 7.0)
    assert query(real / history.NAME, "SELECT count(*) FROM reports") == [(5,)]
    new, migrated = schemas(real)
    assert migrated - new == {("reports", "table"), ("sqlite_autoindex_reports_1", "index")}
    assert migrated > new


def test_numbers_older_than_two_weeks_become_hours_and_days(real):
    with contextlib.closing(sqlite3.connect(real / history.NAME)) as connection, connection:
        connection.execute("DELETE FROM numbers")
        ago = [(1, LAST.timestamp() - days * 86400, days) for days in range(399)]
        connection.executemany("INSERT INTO numbers VALUES (?, ?, ?)", ago)
    with history.opened(real, 400) as opened:
        for hour in range(400):
            opened.add(FinishedRun([], LAST + timedelta(hours=1 + hour), 1.0))
    found = metric_points(real, "report", "shop/age", "value", 0)
    assert [each.value for each in found] == [float(days) for days in range(398, -1, -1)][-len(found) :]
    assert len(found) > 380
    assert len(query(real / history.NAME, "SELECT * FROM metric_values")) < 16


def test_numbers_of_a_report_that_has_no_check_are_kept(real):
    """A run of which only the reports could be stored; and a document that another version wrote."""
    with contextlib.closing(sqlite3.connect(real / history.NAME)) as connection, connection:
        connection.execute("INSERT INTO reports VALUES (9, 'odd', 'no json'), (10, 'none', 'no json')")
        connection.execute("INSERT INTO numbers VALUES (9, 1796046556.5, 3)")
    assert record(real, 400, next_run()).errors == []
    assert [each.value for each in metric_points(real, "report", "odd", "value", 0)] == [3.0]


def test_the_present_state_of_each_check_stays_and_its_word_is_the_present_one(real):
    """Version 2 called a passing check "well"."""
    state = "SELECT name, target, since, streak, kind FROM checks ORDER BY 1, 2"
    before = query(REAL, state)
    database.connect(real / history.NAME).close()
    assert {kind for *_, kind in before} == {"well", "failing"}
    assert query(real / history.NAME, state) == [
        (*rest, "passing" if kind == "well" else kind) for *rest, kind in before
    ]
    with history.opened(real, 400) as opened:
        found = [opened.streak(("report", target)) for target in ("shop/age", "shop/away")]
    assert [(each.kind, each.runs) for each in found] == [(Kind.PASSING, 2), (Kind.FAILING, 6)]


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4])
def test_each_version_becomes_the_present_one(tmp_path, version):
    """Version 1 did not number itself."""
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME, isolation_level=None)) as old:
        for step in migration.STEPS[: version or 1]:
            step(old)
        old.execute(f"PRAGMA user_version = {version}")
        old.execute("INSERT INTO checks (name, target) VALUES ('job', 'a')")
        old.execute(f"INSERT INTO runs (time, seconds, interrupted) VALUES ({int(LAST.timestamp())}, 1, 0)")
        old.execute("INSERT INTO results (check_id, time, status, seconds, message) SELECT 1, time, 2, 1, '' FROM runs")
    assert record(tmp_path, 400, next_run()).errors == []
    assert query(tmp_path / history.NAME, "PRAGMA user_version") == [(migration.VERSION,)]
    assert results(tmp_path)[0][:4] == ("job", "a", LAST.timestamp(), 2)
    new, migrated = schemas(tmp_path)
    assert new == migrated


@pytest.mark.parametrize("step", range(migration.VERSION))
def test_a_step_that_fails_leaves_the_history_as_it_was(tmp_path, monkeypatch, step):
    """And the next run, which can, migrates it."""
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME, isolation_level=None)) as old:
        migration.STEPS[0](old)
    whole = query(tmp_path / history.NAME, "SELECT * FROM sqlite_master")

    def fail(connection):
        last(connection)
        raise sqlite3.OperationalError("interrupted")

    last, steps = migration.STEPS[step], migration.STEPS
    with monkeypatch.context() as patched:
        patched.setattr(migration, "STEPS", (*steps[:step], fail, *steps[step + 1 :]))
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            database.connect(tmp_path / history.NAME)
    assert query(tmp_path / history.NAME, "SELECT * FROM sqlite_master") == whole
    assert query(tmp_path / history.NAME, "PRAGMA user_version") == [(0,)]
    assert record(tmp_path, 400, next_run()).errors == []


def test_a_damaged_history_of_version_2_is_salvaged_and_migrated(real):
    database.renew(real / history.NAME)
    assert results(real) == query(REAL, RESULTS)
    assert query(real / history.NAME, "SELECT count(*) FROM reports") == [(5,)]
    for (target, name), values in NUMBERS.items():
        assert [each.value for each in metric_points(real, "report", target, name, 0)] == values
    assert record(real, 400, next_run()).errors == []


def test_the_export_has_what_a_history_of_version_2_had(real, tmp_path):
    assert export(real, tmp_path / "all.jsonl") == 42
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {each["status"] for each in lines} == {"ok", "failed", "error", "blocked", "skipped"}
