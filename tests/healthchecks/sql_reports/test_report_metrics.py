"""The metrics of a report, with the limits of its expectation."""

import pytest

from healthchecks.clients.postgresql.query import Column, QueryResult
from healthchecks.plugin.metric import Metric
from healthchecks.sql_reports.report import Report, metrics_of
from tests.healthchecks.metrics import assert_agrees
from tests.healthchecks.metrics import metrics_of as metrics_in_status


def test_metrics_of_reports(reports):
    """The number that is expected to be something is the main one; page and check agree on its limits."""
    expectations = {"few": "rows < 3", "many": "rows < 4", "low": "value >= 8", "high": "value <= 7", "plain": ""}
    for name, expect in expectations.items():
        reports.report(name, "select 7 + n as n from generate_series(0, 2) n", **({"expect": expect} if expect else {}))
    outcome = reports.run()
    found = {name: metrics_in_status(outcome, f"report[{name}]") for name in expectations}
    assert {name: [*each] for name, each in found.items()} == {
        "few": ["rows", "value"],
        "many": ["rows", "value"],
        "low": ["value", "rows"],
        "high": ["value", "rows"],
        "plain": ["value", "rows"],
    }
    assert {(each["rows"]["value"], each["value"]["value"]) for each in found.values()} == {(3, 7)}
    for name, main in {"few": "rows", "many": "rows", "low": "value", "high": "value"}.items():
        assert_agrees(outcome, f"report[{name}]", main)
    assert [check["status"] for check in outcome.checks.values()].count("failed") == 2


def test_metrics_of_a_failed_query(reports):
    """There are none, and none of an earlier run."""
    reports.report("wrong", "select nothing")
    assert metrics_in_status(reports.run(), "report[wrong]") == {}


def result(*rows, numeric=True, exact=True):
    return QueryResult((Column("name", numeric=False), Column("n", numeric=numeric)), rows, len(rows), exact)


def made(expect, found):
    return metrics_of(Report(title="t", **({"expect": expect} if expect else {})), found)


VALUE, ROWS = Metric("value", 7.0), Metric("rows", 1.0)


@pytest.mark.parametrize(
    ("expect", "metrics"),
    [
        ("", [VALUE, ROWS]),
        ("value == 7", [Metric("value", 7.0, limit=7.0, lower_limit=7.0), ROWS]),
        ("value between 1 and 9", [Metric("value", 7.0, limit=9.0, lower_limit=1.0), ROWS]),
        ("value < 9", [Metric("value", 7.0, limit=9.0), ROWS]),
        ("value != 9", [VALUE, ROWS]),
        ("value < 1e400", [VALUE, ROWS]),
        ("rows < 5", [Metric("rows", 1.0, limit=4.0), VALUE]),
        ("rows < 4.5", [Metric("rows", 1.0, limit=4.0), VALUE]),
        ("rows > 4.5", [Metric("rows", 1.0, lower_limit=5.0), VALUE]),
        ("rows > 0", [Metric("rows", 1.0, lower_limit=1.0), VALUE]),
        ("rows == 0", [Metric("rows", 1.0, limit=0.0, lower_limit=0.0), VALUE]),
    ],
)
def test_limits_of_an_expectation(expect, metrics):
    assert made(expect, result(("a", "7"))) == metrics


@pytest.mark.parametrize("cell", [None, "NaN", "Infinity", "1e400", "x"])
def test_value_that_is_no_number(cell):
    assert made("", result(("a", cell))) == [ROWS]


def test_results_without_a_number():
    assert made("value > 1", result()) == [Metric("rows", 0.0)]
    assert made("", result(("a", "7"), numeric=False)) == [ROWS]


def test_rows_that_are_not_counted():
    """Their number is wrong, unless it was counted as far as the expectation needs it."""
    more = result(("a", "7"), exact=False)
    assert made("", more) == [VALUE]
    assert made("rows < 1", more) == [Metric("rows", 1.0, limit=0.0), VALUE]
