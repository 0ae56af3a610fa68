"""`--monitoring-export FILE`: the history for others."""

import csv
import io
import json

import pytest

from healthchecks.plugin.history import export
from healthchecks.sql_reports.page import csv_text
from healthchecks.sql_reports.store import Table
from tests.reliability import reliability

CHECKS = """
    import pytest

    @pytest.mark.healthcheck(group="shop")
    def test_ok():
        pass

    @pytest.mark.healthcheck
    def test_bad():
        assert False, '=HYPERLINK("evil") "quoted", and ünïcode'
"""


@pytest.fixture
def checked(suite):
    suite.write("test_mine.py", CHECKS)
    suite.run()
    suite.run()
    return suite


def test_csv_opens_in_a_spreadsheet_without_running_formulas(checked):
    outcome = checked.run("test_mine.py", "--monitoring-export", "all.csv")
    assert (outcome.status, outcome.output) == (0, "4 results written to all.csv\n")
    path = checked.folder / "all.csv"
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["check"], row["group"], row["status"]) for row in rows] == [
        ("ok", "shop", "ok"),
        ("bad", "", "failed"),
    ] * 2
    assert rows[1]["message"] == '\'=HYPERLINK("evil") "quoted", and ünïcode'
    assert rows[0]["time"].endswith("Z")
    assert 0 <= float(rows[0]["duration"]) < 60


@reliability(
    "Files",
    fault="a message holds a formula behind a semicolon, or in wide letters",
    promise="a spreadsheet that opens the exported history runs none, as in the tables of reports",
)
def test_csv_has_the_guard_of_the_reports(suite):
    text = "import pytest\n@pytest.mark.healthcheck\n@pytest.mark.parametrize('text', {!r}, ids=str)\n"
    text += "def test_one(text):\n    pytest.fail(text)\n"
    suite.write("test_mine.py", text.format(["=1+1", "a;=1+1", "\uff1d1+1", "\uff20SUM(1)"]))
    suite.run()
    assert suite.run("test_mine.py", "--monitoring-export", "all.csv").status == 0
    with (suite.folder / "all.csv").open(newline="", encoding="utf-8") as file:
        messages = {row["message"] for row in csv.DictReader(file)}
    assert messages == {"'=1+1", "a;'=1+1", "'\uff1d1+1", "'\uff20SUM(1)"}


CELLS = [
    "=1+1", "+A1", "-1+1", "@SUM(1)", " =1", "\t=1", "\n=1", "a;=1", "a\t@x", "\uff1d1", "\uff20SUM(1)", "\uff0b1",
    "plain", "a=1", "a - b", 'ü, "x"', "", "-5", "+1.5e3",
]  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
def test_export_and_reports_guard_the_same_cells(cell):
    """Both write the same text for the same cell, whether it is a formula or not."""
    exported = io.StringIO(newline="")
    export._write_csv(exported, iter([(cell,)]))
    report = csv_text(Table(0, ["a"], [False], [[cell]], 1, exact=True)).removeprefix("\ufeff")
    (_, [of_export]), (_, [of_report]) = (
        list(csv.reader(io.StringIO(text, newline=""))) for text in (exported.getvalue(), report)
    )
    assert of_export == of_report
    assert (of_export == cell) is (cell in CELLS[-7:])


def test_json_lines_hold_the_same_as_it_was(checked):
    assert checked.run("test_mine.py", "--monitoring-export", "all.jsonl").status == 0
    rows = [json.loads(line) for line in (checked.folder / "all.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert rows[1]["message"].startswith('=HYPERLINK("evil")')
    assert (rows[0]["maintenance"], rows[0]["interrupted"]) == (False, False)


def test_metrics_are_json(suite):
    """In a column of its own, empty for a check that reports none; a name that would be a formula is guarded."""
    suite.write(
        "test_mine.py",
        """
        import pytest
        from healthchecks import metric

        @pytest.mark.healthcheck
        def test_disk():
            metric("used", 0.43, "ratio", limit=0.9)
            metric("a;=1+1", 7)

        @pytest.mark.healthcheck
        def test_none():
            pass
        """,
    )
    suite.run()
    assert suite.run("test_mine.py", "--monitoring-export", "all.csv").status == 0
    assert suite.run("test_mine.py", "--monitoring-export", "all.jsonl").status == 0
    with (suite.folder / "all.csv").open(newline="", encoding="utf-8") as file:
        cells = {row["check"]: row["metrics"] for row in csv.DictReader(file)}
    assert cells == {"disk": '{"used": 0.43, "a;\'=1+1": 7.0}', "none": ""}
    lines = [json.loads(line) for line in (suite.folder / "all.jsonl").read_text().splitlines()]
    assert [each["metrics"] for each in lines] == [{"used": 0.43, "a;=1+1": 7.0}, {}]


def test_nothing_is_checked_meanwhile(checked):
    checked.run("test_mine.py", "--monitoring-export", "one.jsonl")
    checked.run("test_mine.py", "--monitoring-export", "two.jsonl")
    assert (checked.folder / "one.jsonl").read_text() == (checked.folder / "two.jsonl").read_text()


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("all.xlsx", "the name must end in .csv or .jsonl"),
        ("nowhere/all.csv", "No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_said(checked, file, words):
    outcome = checked.run("test_mine.py", "--monitoring-export", file)
    assert outcome.status == 4
    assert words in outcome.output


def test_without_a_history_that_is_said(suite):
    suite.write("test_mine.py", CHECKS)
    outcome = suite.run("test_mine.py", "--monitoring-export", "all.csv")
    assert outcome.status == 4
    assert "there is no history yet: " in outcome.output
    assert not (suite.folder / "all.csv").exists()
