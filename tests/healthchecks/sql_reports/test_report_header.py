"""What the comments at the head of a report say, and what is said of mistakes in them."""

import re
from decimal import Decimal

import pytest

from healthchecks.sql_reports import report as expectation
from healthchecks.sql_reports.parser import read_report
from tests.servers.server import ROOT

GOOD = """\
-- Copyright: somebody
-- title: Orders of the week
-- description: All orders,
--   also those not paid.
-- note, which is no key
-- expect: value  between -1 and  2.5e3
-- limit: 7
-- timeout: 1m
-- slow: 2s
-- failure_threshold: 3
-- success_threshold: 2
-- retries: 1
-- group: shop
-- maintenance: true
-- runbook: https://wiki.example.com/orders
-- chart: bar orders a day
-- param: since = '1 day'
-- param: name=it''s
-- param: quoted = 'it''s'
-- param: empty = ''

-- title: not in the middle
select 1 where %(since)s = %(name)s and %(quoted)s = %(empty)s or 5 % 2 = 1 -- description: not here
"""


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "one.sql"
    path.write_bytes(text.encode(encoding))
    report, problems = read_report(path, "shop/one", "reports/shop/one.sql")
    return report, [str(each) for each in problems]


def test_everything(tmp_path):
    report, problems = read(tmp_path, GOOD.replace("-- title: not", "-- titles not"))
    assert problems == []
    assert (report.title, report.description) == ("Orders of the week", "All orders, also those not paid.")
    assert (report.limit, report.timeout, report.slow, report.retries) == (7, 60, 2, 1)
    assert (report.failure_threshold, report.success_threshold) == (3, 2)
    assert (report.group, report.maintenance, report.reference) == ("shop", True, "report.shop/one")
    assert report.runbook == "https://wiki.example.com/orders"
    assert (report.chart.form, report.chart.column) == ("bar", "orders a day")
    assert report.parameters == {"since": "1 day", "name": "it''s", "quoted": "it's", "empty": ""}
    assert "or 5 %% 2 = 1" in report.sql


@pytest.mark.parametrize("document", ["README.md", "docs/reports.md"])
def test_examples_of_the_documentation(tmp_path, document):
    """Are reports as they stand."""
    texts = re.findall(r"(?s)```sql\n(-- title.*?)```", (ROOT / document).read_text())
    assert texts
    for text in texts:
        report, problems = read(tmp_path, text)
        assert (report.title, report.expect.text, problems) == ("Orders not paid", "rows < 20", [])


def test_windows(tmp_path):
    """A byte-order mark and CRLF are no mistakes."""
    report, problems = read(tmp_path, GOOD.replace("-- title: not", "-- titles not").replace("\n", "\r\n"), "utf-8-sig")
    assert problems == []
    assert report.title == "Orders of the week"
    assert "\r" not in report.sql


def test_percent_without_parameters_is_left_alone(tmp_path):
    report, problems = read(tmp_path, "-- title: a\nselect '%', 'like %(x)s'")
    assert problems == []
    assert report.sql == "-- title: a\nselect '%', 'like %(x)s'"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("select 1", ': "-- title:" is missing'),
        ("", ": is empty"),
        ("-- title: a\nselect '\0'", ", line 2: holds a NUL character"),
        ("-- title:\nselect 1", ", line 1: title: '': is empty"),
        ("-- title: a\n-- expct: rows == 0", ', line 2: unknown key "expct"; did you mean "expect"?'),
        ("-- title: a\n-- deadline: 1m", ', line 2: unknown key "deadline"; it is called "timeout" now'),
        ("-- title: a\n-- after: 2", ', line 2: unknown key "after"; it is called "failure_threshold" now'),
        ("-- title: a\n-- title: b", ', line 2: "title" is there twice: in line 1, too'),
        ("-- title: a\n-- limit: 0", ", line 2: limit: '0': write a number from 1 to 10000"),
        ("-- title: a\n-- limit: 1000000", ", line 2: limit: '1000000': write a number from 1 to 10000"),
        ("-- title: a\n-- timeout: soon", ", line 2: timeout: 'soon' is not a duration: write seconds, or \"90s\""),
        ("-- title: a\n-- expect: rows = 0", ", line 2: expect: 'rows = 0': write rows or value, == != < <= > or >="),
        ("-- title: a\n-- chart: pie a", ", line 2: chart: 'pie a': write bar COLUMN or line COLUMN"),
        ("-- title: a\n-- param: since", ", line 2: param: 'since': write NAME = 'VALUE'"),
        ("-- title: a\n-- param: a = 1\n-- param: a = 2", ", line 3: param: a is there twice"),
        (
            "-- title: a\n-- param: since = 1\n\nselect %(sinc)s",
            ", line 4: %(sinc)s has no -- param: sinc; did you mean",
        ),
    ],
)
def test_mistakes(tmp_path, text, problem):
    """Each with file and line."""
    _, problems = read(tmp_path, text)
    assert len(problems) == 1
    assert problems[0].startswith(f"reports/shop/one.sql{problem}")


def test_not_utf8(tmp_path):
    _, problems = read(tmp_path, "-- title: a\n-- description: Bestände", "latin-1")
    assert problems == ["reports/shop/one.sql, line 2: is not UTF-8 (byte 32)"]


@pytest.mark.parametrize(
    ("text", "number", "met"),
    [
        ("rows == 0", "0", True), ("rows == 0", "1", False), ("rows != 0", "0", False), ("value < 100", "99.99", True),
        ("value < 100", "100", False), ("value <= 100", "100.0", True), ("value > -1", "-1", False),
        ("value >= .5", "0.5", True), ("value between 1 and 5", "5", True), ("value between 1 and 5", "5.01", False),
        ("value<100", "NaN", False), ("value != 1", "NaN", True), ("value < 100", "-Infinity", True),
        ("value < 1e400", "1e399", True),
    ],
)  # fmt: skip
def test_expectations(text, number, met):
    assert expectation.parse(text).is_met_by(Decimal(number)) is met


@pytest.mark.parametrize(
    "text",
    ["", "rows", "value == x", "1 == 1", "rows == 0 or 1", "__import__('os')", "value < 1; 2", "value < NaN",
     "value between 1", "rows < 99999999999"],
)  # fmt: skip
def test_expectations_that_are_none(text):
    """They are parsed, and never evaluated."""
    with pytest.raises(ValueError, match=r"write rows or value|not more than 1000000 rows"):
        expectation.parse(text)
