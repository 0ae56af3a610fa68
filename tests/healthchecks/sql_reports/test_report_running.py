"""`pytest reports`: what is collected, evaluated and stored."""

import sqlite3

import pytest

from tests.reliability import reliability
from tests.servers.postgresql import READER
from tests.servers.server import ROOT, until
from tests.suite import ProjectSuite, table

DISK = "[disk.root]\npath = '/'\nmax_used = '100%'\n"
METRICS = """
select target, metrics.name, value from metric_values
join metrics on metrics.id = metric_id join checks on checks.id = check_id
where checks.name = 'report' order by time, place
"""


def test_foreign_sql_is_none_of_our_business(suite):
    """An ordinary test run with dumps and migrations around collects none of them."""
    suite.write("test_mine.py", "def test_one(): pass")
    suite.write("dump.sql", "-- MySQL dump 10.13\n-- Host: localhost    Database: shop\n-- Database: `shop`\nselect 1;")
    suite.write("titled.sql", "-- title: of a query of somebody else's\nselect 1;")
    (suite.folder / "reports").mkdir()
    suite.write("reports/migration.sql", "-- Description: add orders\n-- migrate:up\ncreate table orders ();")
    outcome = suite.run(".")
    assert outcome.status == 0
    assert "1 passed" in outcome.output
    assert "reports" not in outcome.output
    assert not suite.state.exists()


def _in_a_folder_reports(suite, name):
    """Move the suite to a checkout in a folder called reports, with a titled query."""
    suite.folder = suite.folder / "reports" / name
    suite.folder.mkdir(parents=True)
    suite.write("titled.sql", "-- title: of a query of somebody else's\nselect 1;")
    suite.write("test_mine.py", "def test_one(): pass")


def test_a_checkout_in_a_folder_of_that_name(suite):
    """What is above the root directory of pytest makes nothing a report, and is in no report's name."""
    _in_a_folder_reports(suite, "shop")
    suite.write("pytest.ini", "[pytest]\n")
    outcome = suite.run("--collect-only", "-q", ".")
    assert outcome.status == 0, outcome.output
    assert "test_mine.py::test_one" in outcome.output
    assert "titled" not in outcome.output
    assert "report[titled]" in suite.run("-v", "titled.sql").output
    (suite.folder / "reports" / "own").mkdir(parents=True)
    suite.write("reports/own/one.sql", "-- title: one\nselect 1;")
    for arguments in ((), (".",), ("reports",), ("reports/own",), (str(suite.folder / "reports"),)):
        outcome = suite.run("-v", *arguments) if arguments else suite.finish(suite.start("-v"))
        assert "report[own/one]" in outcome.output, arguments
        assert "titled" not in outcome.output


@pytest.mark.parametrize("named", ["reports", "reports/shop"])
def test_a_named_folder_outside_of_the_root_directory(suite, named):
    _in_a_folder_reports(suite, "shop")
    home = suite.folder.parents[1]
    suite.folder = home / "elsewhere"
    suite.folder.mkdir()
    suite.write("pytest.ini", "[pytest]\n")
    for options in (["--rootdir", str(suite.folder)], []):
        assert "report[shop/titled]" in suite.run("-v", *options, str(home / named)).output


def test_the_root_directory_itself_is_the_folder(suite):
    _in_a_folder_reports(suite, "shop")
    suite.folder = suite.folder.parent
    suite.write("pytest.ini", "[pytest]\n")
    assert "report[shop/titled]" in suite.run("-v", str(suite.folder)).output


@reliability(
    "Authors",
    fault="a report's settings are wrong",
    promise="each such file is one error that names file and line; all other reports run",
)
def test_mistakes_of_single_reports(reports):
    reports.report("one", "select 1", expct="rows == 0")
    reports.report("shop/two", "select 1", database="mian", needs="tcp.nothing")
    reports.report("three", "select 3")
    outcome = reports.run()
    assert outcome.status == 1
    assert {name: each["status"] for name, each in outcome.checks.items()} == {
        "report[one]": "error", "report[shop/two]": "error", "report[three]": "ok",
    }  # fmt: skip
    message = outcome.checks["report[one]"]["message"]
    assert message.endswith('reports/one.sql, line 2: unknown key "expct"; did you mean "expect"?')
    assert outcome.checks["report[shop/two]"]["message"] == (
        'needs: no target "tcp.nothing"; known: database.main; '
        'there is no [database.mian] in servermonitoring.toml; did you mean "main"?'
    )
    assert reports.cells("three") == [["3"]]


def test_mistakes_of_the_configuration(reports):
    """End the run with status 4, before anything is asked."""
    reports.report("one", "select 1")
    outcome = reports.run(toml=reports.toml + "[websit.home]\nurl = 'http://a'\n[reports]\ndatabase = 'mian'\n")
    assert outcome.status == 4
    assert "[websit]: unknown table" in outcome.output
    assert 'there is no [database.mian] in servermonitoring.toml; did you mean "main"?' in outcome.output
    assert not (reports.folder / "html" / "database.html").exists()


@reliability(
    "Authors",
    fault="the chart of a report is misspelt",
    promise="its expectation is evaluated all the same, and the message has both",
)
def test_a_wrong_chart_hides_no_failure(reports):
    for name, chart in {"one": "baar n", "two": "bar m"}.items():
        path = reports.report(name, "select 5 as n", expect="value < 5", chart=chart)
        assert reports.run(str(path)).message(f"report[{name}]").startswith("5 in n; expected value < 5; ")
        path = reports.report(name, "select 4 as n", expect="value < 5", chart=chart)
        entry = reports.run(str(path)).checks[f"report[{name}]"]
        assert (entry["status"], "chart: " in entry["message"]) == ("error", True)


def test_reports_of_one_name(reports):
    """Two folders called reports may have the same: both are asked."""
    reports.report("one", "select 1")
    reports.write("shop/reports/one", "-- title: the other\nselect 2")
    outcome = reports.run()
    assert outcome.status == 0, outcome.output
    assert len(outcome.checks) == 2


def test_without_a_database(reports):
    """Skipped, and the page says so."""
    reports.report("one", "select 1")
    outcome = reports.run("-v", toml="")
    assert outcome.status == 0
    assert "not configured: [database.NAME]" in outcome.output
    assert "no [database.NAME] in servermonitoring.toml" in reports.section("one").text_content()


def test_several_databases(reports, postgresql):
    """A report says which, or [reports] does."""
    other = table("database", "other", dsn=postgresql.url(READER, "template1"))
    reports.report("one", "select current_database()")
    reports.report("two", "select current_database()", database="other")
    outcome = reports.run(toml=reports.toml + other)
    assert outcome.status == 4
    assert "which database? Write -- database: NAME, or [reports] database = NAME (main, other)" in outcome.output
    assert reports.run(toml=reports.toml + other + "[reports]\ndatabase = 'main'\n").status == 0
    assert [reports.cells("one"), reports.cells("two")] == [[["postgres"]], [["template1"]]]


def test_expectation_unmet_and_met_again(reports, postgresql):
    """A failure like any other's: exit status, words, history; and recovery. The number of each run is kept."""
    postgresql.execute("create table orders (id int)")
    postgresql.execute("grant select on orders to public")
    path = reports.report("shop/orders", "select id from orders", expect="rows == 0")
    try:
        reports.run().assert_ok("report[shop/orders]")
        postgresql.execute("insert into orders select generate_series(11, 15)")
        outcome = reports.run()
        entry = outcome.checks["report[shop/orders]"]
        assert (entry["check"], entry["target"], entry["status"]) == ("report", "shop/orders", "failed")
        assert outcome.message("report[shop/orders]") == "5 rows (11, 12, 13, …); expected rows == 0"
        assert "FAILED  report[shop/orders]  5 rows" in outcome.output
        section = reports.section("shop/orders").text_content()
        assert "expected: rows == 0" in section
        assert "5 rows (11, 12, 13, …)" in section
        assert "1 of 1 report failed" in reports.page.text_content()
        postgresql.execute("delete from orders")
        reports.run(str(path)).assert_ok("report[shop/orders]")
    finally:
        postgresql.execute("drop table orders")
    with sqlite3.connect(reports.folder / "state" / "history.sqlite") as history:
        rows = [each for each in history.execute(METRICS) if each[1] == "rows"]
        assert rows == [("shop/orders", "rows", value) for value in (0, 5, 0)]
        statuses = history.execute("select status from results join checks on id = check_id where name = 'report'")
        assert [each[0] for each in statuses] == [0, 2, 0]


FAILED = {
    "few": ("select generate_series(1, 3)", {"expect": "rows < 3"}, "3 rows (1, 2, 3); expected rows < 3"),
    "cut": (
        "select generate_series(1, 100000)",
        {"expect": "rows <= 500", "limit": "2"},
        "501 rows or more (1, 2, …); expected rows <= 500",
    ),
    "large": (
        "select repeat('z', 1000) from generate_series(1, 2000)",
        {"expect": "rows < 1000", "limit": "10000"},
        "1001 rows or more (",
    ),
    "value": ("select 'a', 7.50, 3", {"expect": "value < 7.5"}, "7.50 in ?column?; expected value < 7.5"),
    "nan": ("select 'NaN'::numeric as n", {"expect": "value < 7"}, "NaN in n; expected value < 7"),
    "terminal": (
        "select e'\\x1b[31m\\u009bred'",
        {"expect": "rows == 0"},
        "1 row (\ufffd[31m\ufffdred); expected rows == 0",
    ),
    "null": ("select null::int as n", {"expect": "value < 7"}, "n is NULL, so there is no value to compare"),
    "none": ("select 1 limit 0", {"expect": "value < 7"}, "no row, so there is no value to compare"),
    "role": ("select 1", {"requires": "pg_write_server_files"}, 'the role "reader" may not see this: grant pg_write'),
    "raise": ("select pg_terminate_backend(pg_backend_pid())", {}, "the server ended the connection at 127.0.0.1:"),
}
ERRORS = {
    "words": ("select 'a'", {"expect": "value < 7"}, "expect: value, but no column holds numbers"),
    "chart": ("select 1 as a", {"chart": "bar b"}, 'chart: there is no column "b"; there are a'),
    "text": ("select 'x' as a", {"chart": "line a"}, 'chart: the column "a" holds no numbers'),
    "syntax": ("select 1 as a,\n  frm pg_class", {}, 'line 3: column "frm" does not exist'),
    "escape": ("select e'\\x1b[31mred'::int", {}, 'line 2: invalid input syntax for type integer: "\ufffd[31mred"'),
    "nought": ("select 1 / 0", {}, "division by zero"),
    "columns": ("select", {}, "the query gives no columns"),
}
OK = {
    "exact": ("select generate_series(1, 100000)", {"expect": "rows == 100000", "limit": "2"}),
    "percent": ("select 5 % 2 = 1, 'a%' like 'a%%', '%(since)s' <> ''", {}),
    "show": ("show server_version", {}),
    "semicolon": ("select 1;;; -- ; done\n/* ; */", {}),
    "twice": ('select 1 as a, 2 as a, 3 as "a""b\'%s{}"', {"expect": "value == 1"}),
}


def test_statuses(reports):
    """Reports of each status, in one run."""
    for name, (query, header, _) in {**FAILED, **ERRORS}.items():
        reports.report(name, query, **header)
    for name, (query, header) in OK.items():
        reports.report(name, query, **header)
    outcome = reports.run()
    for cases, status in ((FAILED, "failed"), (ERRORS, "error")):
        for name, (_, _, words) in cases.items():
            entry = outcome.checks[f"report[{name}]"]
            assert (entry["status"], entry["message"][: len(words)]) == (status, words)
    assert {outcome.checks[f"report[{name}]"]["status"] for name in OK} == {"ok"}
    assert "  frm pg_class\n  ^" in outcome.output, "the author sees the line"
    assert "Traceback" not in outcome.output
    assert "\x1b" not in outcome.output
    assert reports.cells("percent") == [["true", "true", "true"]]
    assert reports.cells("twice") == [["1", "2", "3"]]


def test_parameters(reports):
    """Bound as values, whatever they hold; replaced from the command line; a wrong name is reported."""
    query = "select interval %(since)s, %(name)s, 5 % 2"
    path = reports.report("one", query, param="since = '1 day'\n-- param: name = 'x'")
    reports.run().assert_ok("report[one]")
    assert reports.cells("one") == [["1 day", "x", "1"]]
    hostile = "a'; drop table b; --%\\' $$ %(since)s"
    outcome = reports.run(str(path), "--monitoring-param=since=7 days", f"--monitoring-param=name={hostile}")
    reports.page_name = "database-once"
    outcome.assert_ok("report[one]")
    assert reports.cells("one") == [["7 days", hostile, "1"]]
    assert 'no report has a parameter sinc; did you mean "since"?' in reports.run("--monitoring-param=sinc=1").output


def test_both_pages_show_both(reports):
    """Reports and health checks are runs of their own: neither takes the other's state from the status page."""
    reports.report("shop/orders", "select 5 as orders", expect="value < 5")
    reports.run()
    disks = reports.run(str(ROOT / "healthchecks" / "test_disk.py"), toml=DISK)
    assert list(disks.checks) == ["disk_space[root]"], disks.output
    status = reports.folder / "html" / "index.html"
    for text in (status.read_text(), (reports.folder / "html" / "database.html").read_text()):
        assert "5 in orders; expected value &lt; 5" in text
    reports.run(toml=f"{reports.toml}\n{DISK}")
    assert "disk[root]" in status.read_text()


def test_a_long_run_of_reports_keeps_no_check_waiting(reports, postgresql):
    """Only a second run of reports is turned away meanwhile."""
    reports.report("long", "select pg_sleep(60)")
    process = reports.start()
    try:
        sleeps = "select count(*) from pg_stat_activity where application_name = 'healthchecks long'"
        until(lambda: postgresql.execute(sleeps) == [(1,)], 120, what="the report's query")
        assert reports.run().status == 6
        disks = reports.run(str(ROOT / "healthchecks" / "test_disk.py"), toml=DISK)
        assert disks.status == 0, disks.output
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_part_of_the_reports(reports):
    """A run of one leaves the others on the page as they were; a report whose file is gone leaves it."""
    first, second = (reports.report(name, f"select '{name}' as who") for name in ("first", "second"))
    reports.write("untitled", "select 1")
    outcome = reports.run()
    assert "not a report, -- title: is missing: untitled.sql" in outcome.output
    second.write_text("-- title: second\nselect 'changed' as who")
    reports.run("-ksecond").assert_ok("report[second]")
    assert [reports.cells("first"), reports.cells("second")] == [[["first"]], [["changed"]]]
    assert "All 2 reports are ok" in reports.page.text_content()
    first.unlink()
    reports.run("-ksecond")
    assert [each.get("id") for each in reports.page.xpath("//section")] == ["second"]


def test_retries(reports, postgresql, owned):
    """A failure with retries left is asked again."""
    reports.role = owned
    reported = "cannot execute nextval() in a read-only transaction"
    before = postgresql.log.count(reported)
    assert reported in reports.broken("flaky", "select nextval('shop.numbers')", retries="2")
    assert postgresql.log.count(reported) - before == 3


def test_xdist_is_refused(reports, monkeypatch):
    """Every worker would ask the database everything."""
    monkeypatch.setattr(ProjectSuite, "has_xdist", True)
    reports.report("one", "select 1")
    assert "run them without -n" in reports.run("-n2", str(reports.folder / "reports")).output


@reliability(
    "Authors",
    fault="a run of reports has parameters of its own",
    promise="it has a page of its own; the stored report and the trend of its number stay as they were",
)
def test_parameters_of_one_run_leave_what_is_kept(reports):
    path = reports.report("one", "select %(age)s::int as age", param="age = 1")
    reports.run(str(path))
    before = (reports.folder / "html" / "database.html").read_bytes()
    outcome = reports.run(str(path), "--monitoring-param=age=22")
    assert f"reports: {reports.folder}/html/database-once.html (with the parameters of this run" in outcome.output
    assert (reports.folder / "html" / "database.html").read_bytes() == before
    with sqlite3.connect(reports.folder / "state" / "history.sqlite") as database:
        assert database.execute(METRICS).fetchall() == [("one", "value", 1.0), ("one", "rows", 1.0)]
    assert reports.cells("one") == [["1"]]
    reports.page_name = "database-once"
    assert reports.cells("one") == [["22"]]
    assert reports.csv("one") == [["age"], ["22"]]
