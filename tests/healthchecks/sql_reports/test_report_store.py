"""What is stored of reports in the history."""

import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from healthchecks.clients.postgresql.query import Column, QueryResult
from healthchecks.plugin import history
from healthchecks.plugin.history import FinishedRun
from healthchecks.plugin.metric import Metric
from healthchecks.plugin.result import Result, Status
from healthchecks.sql_reports import store
from healthchecks.sql_reports.report import Report, metrics_of
from healthchecks.sql_reports.store import State, Table

DAY = 86400.0


def state(path, number="1", asked=None, **changes):
    now = asked or time.time()
    table = Table(now, ["n"], [True], [[number]], 1, exact=True, number=number)
    values = {
        "name": "one", "path": str(path), "title": "One", "description": "", "database": "main", "group": "",
        "status": "ok", "message": "", "expect": "", "chart": ("bar", "n"), "ran": now, "duration": 0.1, "table": table,
    }  # fmt: skip
    return State(**values | changes)


@pytest.fixture
def opened(tmp_path):
    with store.opened(tmp_path) as opened:
        yield opened


def test_what_is_kept_comes_back(opened, tmp_path):
    kept = state(tmp_path)
    opened.keep([kept])
    (found,) = opened.states()
    assert found == kept
    assert (tmp_path / "history.sqlite").stat().st_mode & 0o777 == 0o600


def test_without_an_answer_the_old_table_stays(opened, tmp_path):
    """With its own time."""
    old = state(tmp_path, asked=time.time() - DAY)
    opened.keep([old])
    opened.keep([replace(state(tmp_path), status="failed", message="away", table=None)])
    (found,) = opened.states()
    assert (found.status, found.message, found.table) == ("failed", "away", old.table)


def test_the_trend_is_that_of_the_metric_that_the_report_is_about(tmp_path):
    """With what an expectation compares, else the value, else the rows; of the last days only."""
    now = datetime.now(UTC)
    with history.opened(tmp_path, 400) as opened:
        for days in (100, 2, 1):
            metrics = [Metric("value", -days), Metric("rows", days)]
            started = now - timedelta(days=days)
            result = Result("report", "one", "report[one]", Status.OK, "", 0.1, started, "here", metrics=metrics)
            opened.add(FinishedRun([result], started, 1.0))
    assert trend(tmp_path, state(tmp_path)) == [-2.0, -1.0]
    assert trend(tmp_path, state(tmp_path, expect="rows < 3")) == [2.0, 1.0]
    text = replace(state(tmp_path).table, numeric=[False])
    assert trend(tmp_path, state(tmp_path, table=text)) == [2.0, 1.0]
    assert trend(tmp_path, state(tmp_path, table=text, expect="value < 3")) == [-2.0, -1.0]
    assert trend(tmp_path, state(tmp_path, name="other")) == []


def trend(directory, kept):
    return [value for _, value in store.trends(directory, [kept], 90)[kept.name]]


NUMERIC, TEXT = Column("n", numeric=True), Column("name", numeric=False)


@pytest.mark.parametrize(
    ("expect", "columns", "rows", "exact", "metrics"),
    [
        ("", [TEXT, NUMERIC], [["a", "1.5"], ["b", "2"]], True, [Metric("value", 1.5), Metric("rows", 2)]),
        ("", [TEXT], [["a"]], True, [Metric("rows", 1)]),
        ("", [TEXT], [["a"]], False, []),
        ("", [NUMERIC], [], True, [Metric("rows", 0)]),
        ("", [NUMERIC], [[None]], True, [Metric("rows", 1)]),
        ("", [NUMERIC], [["NaN"]], True, [Metric("rows", 1)]),
        ("", [NUMERIC], [["1e999"]], True, [Metric("rows", 1)]),
        ("rows == 0", [NUMERIC], [["5"]], False, [Metric("rows", 1, "none", 0, 0), Metric("value", 5)]),
        ("value < 3", [NUMERIC], [["5"]], True, [Metric("value", 5, "none", 3), Metric("rows", 1)]),
        ("value >= 3", [NUMERIC], [["5"]], True, [Metric("value", 5, "none", None, 3), Metric("rows", 1)]),
        ("value between 1 and 9", [NUMERIC], [["5"]], True, [Metric("value", 5, "none", 9, 1), Metric("rows", 1)]),
        ("value != 3", [NUMERIC], [["5"]], True, [Metric("value", 5), Metric("rows", 1)]),
    ],
)
def test_value_and_rows_of_a_result_are_metrics(expect, columns, rows, exact, metrics):
    """The one that the report is about first, with its limits; without what is no number or was not counted."""
    report = Report(title="One", expect=expect) if expect else Report(title="One")
    result = QueryResult(columns, rows, len(rows), exact=exact)
    assert metrics_of(report, result) == metrics


def test_a_removed_file_and_one_of_another_version_are_left_out(opened, tmp_path):
    opened.keep([state(tmp_path, name="there"), state(tmp_path / "gone", name="gone"), state(tmp_path, name="odd")])
    with sqlite3.connect(tmp_path / "history.sqlite") as database:
        database.execute("update reports set document = '{\"name\": \"odd\"}' where name = 'odd'")
    assert [each.name for each in opened.states()] == ["there"]
