"""The check of the alerts' own delivery."""

import os
import textwrap
import time

import pytest

from servermonitoring.delivery import notify_url
from servermonitoring.delivery.notify_services import NotifyServices
from servermonitoring.delivery.spool import SpoolEntry
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.suite import ROOT

CHECK = "alerts_delivered[]"
FILE = str(ROOT / "healthchecks" / "test_alerts.py")


def put(folder, name, seconds):
    """One that was put into this spool so long ago."""
    spool = folder / "state" / "spool" / name
    spool.mkdir(parents=True, exist_ok=True)
    stamp, rest = SpoolEntry.new().name.split("-", 1)
    (spool / f"{int(stamp) - int(seconds * 1e9):020d}-{rest}").write_text("{}")


def test_metrics(run_suite, tmp_path):
    """Of all spools together; the limit is that of the oldest."""
    put(tmp_path, "sentry", 10)
    put(tmp_path, "webhook", 1000)
    outcome = run_suite("", FILE)
    found = metrics_of(outcome, CHECK)
    assert found["waiting"] == {"value": 2, "unit": "none", "limit": None, "lower_limit": None}
    assert (found["oldest"]["unit"], found["oldest"]["limit"]) == ("seconds", 3600)
    assert found["oldest"]["value"] >= 1000
    assert_agrees(outcome, CHECK, "oldest")
    put(tmp_path, "webhook", 4000)
    outcome = run_suite("", FILE)
    assert metrics_of(outcome, CHECK)["waiting"]["value"] == 3
    assert_agrees(outcome, CHECK, "oldest")


def test_it_is_skipped_where_nothing_was_ever_sent(run_suite):
    outcome = run_suite("", FILE)
    assert outcome.checks[CHECK]["status"] == "skipped"
    assert "not configured: [sentry]" in outcome.output


@pytest.mark.parametrize(
    ("toml", "variable"),
    [
        ("[alerts]\nwebhook = 'http://127.0.0.1:9/'\n", ""),
        ("[sentry]\ndsn = 'http://key@127.0.0.1:9/1'\n", ""),
        ("", "http://key@127.0.0.1:9/1"),
    ],
)
def test_no_channel_that_is_configured_is_called_missing(suite, toml, variable):
    """Before its first alert, when it has no spool yet."""
    suite.configure(toml)
    if variable:
        suite.environment["HEALTHCHECKS_SENTRY_DSN"] = variable
    outcome = suite.run("--monitoring-no-alerts", "--pyargs", "healthchecks.test_alerts")
    outcome.assert_ok(CHECK)
    assert "not configured" not in outcome.output


@pytest.mark.parametrize("toml", ["", "[alerts]\nmax_per_run = 5\n", "[sentry]\ndsn = 'http://key@127.0.0.1:9/1'\n"])
def test_the_reason_is_true(suite, toml):
    """A variable that is set but empty means no DSN."""
    suite.configure(toml)
    suite.environment["HEALTHCHECKS_SENTRY_DSN"] = ""
    outcome = suite.run("--pyargs", "healthchecks.test_alerts")
    assert outcome.checks[CHECK]["status"] == "skipped"
    assert outcome.checks[CHECK]["message"] == "no [sentry] dsn in force, and no [alerts] webhook or notify"


def test_what_waits_for_less_than_an_hour_passes(run_suite, tmp_path):
    put(tmp_path, "sentry", 3500)
    run_suite("", FILE).assert_ok(CHECK)


def test_what_waits_for_longer_is_reported_by_spool(run_suite, tmp_path):
    """The DSN may be in a variable of another run."""
    for seconds in (60, 7200):
        put(tmp_path, "sentry", seconds)
    put(tmp_path, "webhook", 4050)
    words = run_suite("", FILE).message(CHECK).split("; ")
    assert sorted(words) == [
        f"1 alert to webhook not delivered, the oldest for 1 h 7 min {delete(tmp_path, 'webhook')}",
        "2 alerts to sentry not delivered, the oldest for 2 h",
    ]


def delete(folder, name):
    return f"(no channel of the configuration uses this spool: delete {folder / 'state' / 'spool' / name})"


def test_a_spool_that_no_url_uses_any_more_is_named(run_suite, tmp_path):
    toml = "[alerts]\nnotify = ['json://127.0.0.1:9/']\n"
    run_suite(toml, FILE)
    spools = tmp_path / "state" / "spool"
    used = NotifyServices(spools).spool(notify_url.load(["json://127.0.0.1:9/"])[0])
    removed = "notify-slack-1a2b3c4d"
    for name in (used, removed):
        put(tmp_path, name, 7200)
    assert sorted(run_suite(toml, FILE, "--monitoring-no-alerts").message(CHECK).split("; ")) == [
        f"1 alert to {used} not delivered, the oldest for 2 h",
        f"1 alert to {removed} not delivered, the oldest for 2 h {delete(tmp_path, removed)}",
    ]


CLOSED = """
    import pytest
    @pytest.mark.healthcheck
    def test_closed():
        raise AssertionError("closed")
"""


@reliability(
    "Alerts",
    fault="a receiver refuses every alert, with 400 or 413",
    promise="the check alerts_delivered fails for a day, with the receiver's status and first words",
)
@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "400 Bad Request: no_text"), (413, "413 Request Entity Too Large: no_text")],
)
def test_what_was_refused_is_reported_for_a_day(run_suite, website, tmp_path, status, words):
    website.answer("/hook", "no_text", status=status)
    toml = f"[alerts]\nwebhook = '{website.url('/hook')}'\n"
    own = tmp_path / "test_closed.py"
    own.write_text(textwrap.dedent(CLOSED))
    run_suite(toml, str(own))
    assert run_suite(toml, FILE).message(CHECK) == f"1 alert refused by webhook within a day: {words}"
    for each in (tmp_path / "state" / "spool" / "webhook" / "refused").iterdir():
        os.utime(each, (1, time.time() - 86500))
    run_suite(toml, FILE).assert_ok(CHECK)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_whatever_is_in_the_reasons_place_hides_no_refusal(run_suite, tmp_path, make):
    put(tmp_path, "sentry", 60)
    spool = tmp_path / "state" / "spool" / "sentry"
    (spool / "refused").mkdir()
    (next(each for each in spool.iterdir() if each.is_file())).rename(spool / "refused" / "1-a-b.status-400")
    make(spool / "refused.txt")
    assert run_suite("", FILE).message(CHECK) == f"1 alert refused by sentry within a day: see {spool / 'refused'}"
