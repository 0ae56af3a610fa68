"""database.html and its CSV files: everything is there, readable, and runs nothing."""

import re
import stat
import time

import pytest

from healthchecks.sql_reports import page
from healthchecks.sql_reports.page import csv_text
from healthchecks.sql_reports.store import State, Table
from tests.reliability import reliability
from tests.servers.browsers import UNUSED_FEATURES, Browser

HOSTILE = "<script>document.title='run'</script>\"'&amp;<img src=x onerror=\"document.title='run'\">"
TYPES = {
    "'{\"a\": [1, null], \"<b>\": \"x\"}'::json": '{"a": [1, null], "<b>": "x"}',
    "'{\"b\": 1}'::jsonb": '{"b": 1}',
    "array[[1,2],[3,null]]": "{{1,2},{3,NULL}}",
    "array['a,b', 'c\"d', null]": '{"a,b","c\\"d",NULL}',
    "'[1,5)'::int4range": "[1,5)",
    "'{[1,2], [4,5)}'::int4multirange": "{[1,3),[4,5)}",
    r"'\xdeadbeef'::bytea": r"\xdeadbeef",
    "'2026-11-24 03:00+02'::timestamptz at time zone 'UTC'": "2026-11-24 01:00:00",
    "'infinity'::timestamptz": "infinity",
    "'4713-01-01 BC'::date": "4713-01-01 BC",
    "'294276-12-31'::timestamp": "294276-12-31 00:00:00",
    "interval '1 year -2 days 03:00'": "1 year -2 days +03:00:00",
    "'NaN'::numeric": "NaN",
    "'-Infinity'::float8": "-Infinity",
    "1e-7::numeric": "0.0000001",
    "12345678901234567890123456789.123456789": "12345678901234567890123456789.123456789",
    "9223372036854775807": "9223372036854775807",
    "true": "true",
    "'sad'::mood": "sad",
    "'10.0.0.1/8'::inet": "10.0.0.1/8",
    "'08:00:2b:01:02:03'::macaddr": "08:00:2b:01:02:03",
    "point(1,2)": "(1,2)",
    "polygon '((0,0),(1,1),(1,0))'": "((0,0),(1,1),(1,0))",
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "row(1, 'a b', null)": '(1,"a b",)',
    "b'101'": "101",
    "'<a>b</a>'::xml": "<a>b</a>",
    "'fat & rat'::tsquery": "'fat' & 'rat'",
    "null::text": "NULL",
    "''": "",
    "'Ünï😀 \u202egnirts'": "Ünï😀 \u202egnirts",
    "e'a\\tb\\nc\\x01'": "a\tb\nc\ufffd",
    "'12.50'::money": "$12.50",
    "'pg_class'::regclass": "pg_class",
    "'x'::\"char\"": "x",
}  # fmt: skip


@pytest.fixture
def mood(postgresql):
    postgresql.execute("create type mood as enum ('sad', 'happy')")
    yield
    postgresql.execute("drop type mood")


@pytest.mark.usefixtures("mood")
def test_every_type_is_readable(reports):
    """As the server writes it; NULL is distinct from empty text."""
    reports.report(
        "types",
        "\nunion all ".join(f"select {number} as n, ({each})::text as text" for number, each in enumerate(TYPES)),
    )
    reports.report("raw", "select " + ", ".join(TYPES))
    outcome = reports.run()
    outcome.assert_ok("report[raw]")
    outcome.assert_ok("report[types]")
    assert reports.cells("raw") == [list(TYPES.values())]
    assert reports.section("raw").xpath(".//tbody//td[contains(@class, 'null')]/text()") == ["NULL"]
    numbers = [int(cell.text_content()) for cell in reports.section("types").xpath(".//td[@class='number']")]
    assert numbers == list(range(len(TYPES)))


def test_hostile_texts(reports, chromium):
    """In cells, names of columns, titles, descriptions, files: shown as they are, and run by no browser."""
    quoted = HOSTILE.replace("'", "''")
    header = {"title": HOSTILE, "description": HOSTILE, "group": HOSTILE, "chart": "bar n"}
    reports.report("one", f"select '{quoted}' as \"{HOSTILE.replace(chr(34), chr(34) * 2)[:60]}\", 3 as n", **header)
    reports.report("two", f"select '{quoted}'::int", title="two")
    reports.report("<img src=x onerror=alert(1)>", "select 1 as a", title="three")
    reports.run().checks["report[_img_src_x_onerror_alert_1__]"]
    assert reports.cells("one") == [[HOSTILE, "3"]]
    document = chromium_dom(chromium, reports.folder / "html" / "database.html")
    assert "<title>run" not in document
    assert reports.section("one").xpath(".//img | .//script") == []


def test_secrets_are_not_shown(reports):
    """What a query finds of the configuration's passwords, or by the form of one, is blanked."""
    reports.report(
        "queries", "select 'rea' || 'ds' as a, 'alter role x password ''hush-hush''' as b, 'https://a:hush-hush@b' as c"
    )
    outcome = reports.run()
    assert "hush-hush" not in outcome.all_written().replace(
        (reports.folder / "reports" / "queries.sql").read_text(), ""
    )
    assert reports.cells("queries")[0][0] == "[Filtered]"


def test_csv(reports):
    """What a spreadsheet would run is defused, numbers stay numbers, NULL is nothing, and ü is ü."""
    reports.report(
        "csv", "select -5 as \"=n\", '=1+1' as a, 'a;=1+1' as b, e'\\t@x' as c, '-5' as d, null as e, 'ü, \"x\"' as f"
    )
    reports.run()
    assert reports.csv("csv") == [
        ["'=n", "a", "b", "c", "d", "e", "f"],
        ["-5", "'=1+1", "a;'=1+1", "'\t'@x", "-5", "", 'ü, "x"'],
    ]
    raw = (reports.folder / "html" / "database" / "csv.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert raw.endswith(b"\r\n")
    for path in ("database.html", "database/csv.csv"):
        assert stat.S_IMODE((reports.folder / "html" / path).stat().st_mode) == 0o600


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n=", "\uff1d", ";=", "x;=", "x\t+"])
def test_no_cell_begins_with_a_formula(start):
    text = csv_text(Table(0, ["a"], [False], [[f"{start}cmd"]], 1, exact=True))
    assert "'" in text.split("\r\n", 1)[1]


def test_page_that_cannot_be_written(reports):
    """The old one stays, the run reports it, and the results are the same."""
    reports.report("one", "select 1")
    (reports.folder / "html" / "database.html").mkdir(parents=True)
    outcome = reports.run()
    assert outcome.status == 0
    assert "the page of the reports could not be written" in outcome.output


def state(**changes):
    table = Table(
        time.time(),
        ["name", "n"],
        [False, True],
        [["a", "1"], ["b", "-2.5"], ["c", None], ["d", "NaN"]],
        4,
        exact=True,
    )
    values = {
        "name": "shop/orders", "path": "", "title": "Orders", "description": "", "database": "main", "group": "shop",
        "status": "ok", "message": "", "expect": "", "chart": None, "ran": time.time(), "duration": 0.1, "table": table,
    }  # fmt: skip
    return State(**values | changes)


def test_trend_of_90_days():
    """A curve from the oldest number to the newest, its bounds in words; none for one number."""
    now = time.time()
    points = [(now - 86400 * (90 - day) + 60, float(day)) for day in range(90)]
    text = page.html([state()], {"shop/orders": points}, "host")
    assert "The last 90 days: 0 to 89, now 89" in text
    assert "M0.0,100.0 L11.1," in text
    assert "The last 90 days" not in page.html([state()], {"shop/orders": points[:1]}, "host")


def test_a_bar_and_a_line_are_drawn():
    """NULL and NaN are no numbers to draw; what is below zero goes to the other side."""
    bars = page.html([state(chart=("bar", "n"))], {}, "host")
    assert bars.count("<rect") == 2
    assert "<path" in page.html([state(chart=("line", "n"))], {}, "host")
    assert "<rect" not in page.html([state(chart=("bar", "gone"))], {}, "host")


def test_groups_and_headline():
    """By folder; what fails comes first in the overview, and is named at the top."""
    states = [state(), state(name="z", title="Bad", group="a", status="failed", message="off")]
    text = page.html(states, {}, "host")
    assert "1 of 2 reports failed" in text
    assert text.index(">Bad<") < text.index(">Orders<")
    assert "<h1>1 report is ok</h1>" in page.html(states[:1], {}, "host")


def chromium_dom(browser: Browser, path):
    """The page after its scripts have run."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 UNUSED_FEATURES]  # fmt: skip
        command = [browser.binary, *flags, f"--user-data-dir={profile}", path.as_uri()]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@reliability(
    "Files",
    fault="one report's CSV file cannot be written, and names of reports differ by a dot only",
    promise="the page and all other tables are written, each with a link of its own",
)
def test_a_table_that_cannot_be_written(reports):
    reports.report("one", "select 1")
    reports.report("a.b", "select 2")
    (reports.folder / "html" / "database" / "one.csv").mkdir(parents=True)
    outcome = reports.run()
    assert "not all tables could be written as CSV: " in outcome.output
    assert (reports.folder / "html" / "database" / "a.b.csv").is_file()
    assert (reports.folder / "html" / "database.html").is_file()


def test_anchors_of_names_that_differ_by_a_dot():
    shown = page.html([state(name="a/b"), state(name="a.b")], {}, "host")
    assert len(set(re.findall(r'<section class="report ok" id="([^"]+)"', shown))) == 2
