"""[bookmarklet.NAME], in a real browser: the failing cases first."""

import contextlib
import signal
from urllib.parse import quote

import psutil
import pytest

from tests.healthchecks.metrics import metrics_of
from tests.reliability import reliability
from tests.servers.browsers import TIMEOUT, bookmarklet
from tests.servers.server import free_port, program, until
from tests.servers.website import BOOKMARKLET, BOOKMARKLET_HANGING, BOOKMARKLET_TEXT
from tests.suite import IN_TIME, ProjectSuite, table

DRIVERS = {"chromium": "chromedriver", "firefox": "geckodriver"}
TIMEOUTS = (8, 24, 72)  # seconds, to be tried in turn until a browser loads a page before: how busy is the machine?


def message(outcome, name):
    return outcome.message(f"bookmarklet_status[{name}]")


@reliability(
    "Messages",
    fault="the page of a bookmarklet answers 500",
    promise="it fails with the status, and does not wait for the text",
)
@pytest.mark.usefixtures("chromium", "no_process_left")
def test_bad_bookmarklets(run_suite, website, bad):
    """Each says what it was that did not come; the page of the run shows what the browser saw."""
    closed = free_port()
    outcome = run_suite(
        "\n".join(
            [
                bookmarklet("never", website, "/bookmarklet/never"),
                bookmarklet("throws", website, bookmarklet="javascript:nothing.here()"),
                bookmarklet("there", website, expect="Bookmarklet"),
                bookmarklet("answers_500", website, "/status/500"),
                table("bookmarklet", "refused", url=f"http://127.0.0.1:{closed}/", bookmarklet=BOOKMARKLET, expect="x"),
                bookmarklet("gone", website, expect_selector="#gone"),
                table(
                    "bookmarklet", "hole", url=bad.url("hole"), bookmarklet=BOOKMARKLET, expect="x", timeout=TIMEOUT
                ),
            ]
        )
    )  # fmt: skip
    assert outcome.status == 1
    assert message(outcome, "answers_500") == f"status 500 at {website.url('/status/500')}"
    assert message(outcome, "never") == f'"{BOOKMARKLET_TEXT}" not found after the bookmarklet ran'
    assert "nothing is not defined" in message(outcome, "throws")
    assert message(outcome, "throws").startswith("the bookmarklet fails: ")
    assert message(outcome, "there").startswith('"Bookmarklet" is on the page before the bookmarklet runs')
    assert message(outcome, "gone") == f'"{BOOKMARKLET_TEXT}" and "#gone" not found after the bookmarklet ran'
    assert message(outcome, "hole").startswith(f"{bad.url('hole')} did not load within 1")
    assert message(outcome, "refused") == f"connection refused at 127.0.0.1:{closed}"
    page = (outcome.folder / "html" / "index.html").read_text()
    assert "screenshot" in page
    assert "page source" in page
    assert "browser console" in page


@pytest.mark.usefixtures("chromium", "no_process_left")
@pytest.mark.parametrize(
    ("path", "script", "expected"),
    [
        ("/bookmarklet/hang", BOOKMARKLET, "http://127.0.0.1:"),
        ("/bookmarklet", BOOKMARKLET_HANGING, "the bookmarklet fails"),
    ],
)  # fmt: skip
def test_page_that_is_busy_for_ever(run_suite, website, path, script, expected):
    """What `while(1){}` makes of a browser ends with the timeout at the latest."""
    too_soon = "the browser did not start within ", f"{website.url('/bookmarklet')} did not load within "
    for timeout in TIMEOUTS:
        outcome = run_suite(bookmarklet("busy", website, path, bookmarklet=script, timeout=timeout))
        assert outcome.duration < timeout + IN_TIME - TIMEOUTS[0]
        if not message(outcome, "busy").startswith(too_soon):
            break
    assert message(outcome, "busy").startswith(expected)


def below(pid):
    """Return the processes below a run but for those forked from it: browser, driver and their guardian."""
    with contextlib.suppress(psutil.NoSuchProcess):  # the timeout has expired
        run = psutil.Process(pid)
        own = run.cmdline()
        return [each for each in run.children(recursive=True) if is_other(each, own)]
    return []


def is_other(process, command):
    try:
        return process.cmdline() != command
    except psutil.NoSuchProcess:  # it has just ended
        return False


@pytest.mark.usefixtures("chromium", "no_process_left")
@pytest.mark.parametrize("stopped", ["chromedriver", "chromium", "all"])
def test_driver_or_browser_stands_still(tmp_path, website, stopped):
    """SIGSTOP while a page is loading: a result in time, and the stopped ones are gone too."""
    for timeout in TIMEOUTS:
        suite = ProjectSuite(tmp_path, bookmarklet("still", website, "/slow?seconds=150", timeout=timeout))
        run = suite.start()
        until(lambda run=run: website.paths or run.poll() is not None, 180, what="the page was asked for")
        for each in below(run.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                if stopped in (each.name(), "all"):
                    each.suspend()
        outcome = suite.finish(run)
        assert outcome.duration < timeout + IN_TIME - TIMEOUTS[0]
        if website.paths:
            break
    assert outcome.status == 1
    assert message(outcome, "still").startswith(f"{website.url('/slow')} did not load within ")


@pytest.mark.usefixtures("chromium", "no_process_left")
def test_interrupted_run_leaves_no_browser(tmp_path, website):
    suite = ProjectSuite(tmp_path, bookmarklet("cut", website, "/slow?seconds=60", timeout=60))
    run = suite.start()
    until(lambda: website.paths, 120, what="the page was asked for")
    run.send_signal(signal.SIGINT)
    outcome = suite.finish(run)
    assert outcome.status == 2


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_good_bookmarklets(run_suite, website, tmp_path, browser):
    """From the configuration, from a file, and percent-encoded as browsers keep them."""
    program(DRIVERS[browser])
    encoded = tmp_path / "bookmarklet.js"
    encoded.write_text("javascript:" + quote(BOOKMARKLET.removeprefix("javascript:")) + "\n")
    outcome = run_suite(
        bookmarklet("plain", website, browser=browser)
        + bookmarklet("file", website, bookmarklet=encoded, expect_selector="#result", browser=browser).replace(
            f'expect = "{BOOKMARKLET_TEXT}"\n', ""
        ).replace("#result", "#result:not(:empty)")
    )  # fmt: skip
    assert outcome.status == 0, outcome.output
    for name in ("plain", "file"):
        found = metrics_of(outcome, f"bookmarklet_status[{name}]")
        assert [*found] == ["page time", "browser start"]
        assert {each["unit"] for each in found.values()} == {"seconds"}
        times = [each["value"] for each in found.values()]
        assert 0 < min(times) <= sum(times) <= outcome.checks[f"bookmarklet_status[{name}]"]["duration"]


@pytest.mark.usefixtures("chromium", "no_process_left")
def test_metrics_of_a_failing_bookmarklet(run_suite, website):
    """Also where the bookmarklet itself fails; a page that is not there has no time."""
    outcome = run_suite(
        bookmarklet("fails", website, "/slow?seconds=1", bookmarklet="javascript:nothing.here()")
        + bookmarklet("gone", website, "/status/500")
    )
    found = metrics_of(outcome, "bookmarklet_status[fails]")
    assert outcome.status == 1
    assert found["page time"]["value"] >= 1
    assert metrics_of(outcome, "bookmarklet_status[gone]") == {}


def test_missing_driver(run_suite, website, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    outcome = run_suite(bookmarklet("none", website))
    assert message(outcome, "none").startswith("missing: chromedriver (install it")
    assert website.paths == []


@pytest.mark.usefixtures("no_process_left")
def test_driver_that_is_none(run_suite, website, chromium):
    outcome = run_suite(bookmarklet("none", website, driver="/bin/false", binary=chromium.binary))
    assert message(outcome, "none").startswith("/bin/false ended at once")


WRONG_KEYS = [
    ({}, '"url" is missing'),
    ({"url": "http://h/"}, '"bookmarklet" is missing'),
    ({"url": "http://h/", "bookmarklet": "javascript:x"}, "expect or expect_selector is needed"),
    (
        {"url": "http://h/", "bookmarklet": "/nowhere.js", "expect": "x"},
        "not a javascript: URL, and not a readable file",
    ),
    ({"url": "http://h/", "bookmarklet": "javascript:", "expect": "x"}, "contains no script"),
    (
        {"url": "http://h/", "bookmarklet": "javascript:x", "expect": "x", "log": "x.log"},
        'unknown key "log"; it is called "[job.NAME] log" now',
    ),
    ({"url": "http://h/", "bookmarklet": "javascript:x", "expect": "x", "driver": "/nowhere"}, "/nowhere"),
]


def test_wrong_keys(run_suite):
    tables = [table("bookmarklet", f"n{i}", **keys) for i, (keys, _) in enumerate(WRONG_KEYS)]
    outcome = run_suite("\n".join(tables))
    assert outcome.status == 4, outcome.output
    for i, (_, expected) in enumerate(WRONG_KEYS):
        line = next(line for line in outcome.output.splitlines() if f"[bookmarklet.n{i}]" in line)
        assert expected in line
