"""Kills and errors of `watchdog watch` reach Sentry, later if it is away; watching never waits for it."""

import logging
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from servermonitoring.watchdog_state import Kill
from tests.servers.server import ROOT
from tests.watchdog.kennel import wait_for
from watchdog import settings
from watchdog.alerting.handler import MOST_ALERTS, AlertHandler, AlertThrottle
from watchdog.handover import AlertDestination

HUNG = "validated_within = 1\ngrace = 0.3"
MESSAGE = "1.3 GB of memory used, maximum 1.2 GB"
KILL = Kill(time.time(), "firefox", "memory", MESSAGE, 12, "firefox-esr", 0, 5, 61.0, 2.0, "c")


@pytest.fixture
def start_with_dsn(watching, monkeypatch):
    """The watchdog with this DSN."""
    monkeypatch.delenv("SENTRY_DSN", raising=False)

    def start(dsn, rule=HUNG, **options):
        return watching(rule, env={"WATCHDOG_SENTRY_DSN": dsn}, **options)

    return start


def test_a_kill_is_an_issue(kennel, start_with_dsn, bugsink):
    """It reads well in the list, can be searched for, and says what there is to know."""
    process = kennel.stand_in("import time; time.sleep(600)", "--proxy=http://me:hunter22@proxy")
    watch = start_with_dsn(bugsink.dsn)
    watch.said("alerts go to Sentry at 127.0.0.1")
    process.wait(60)
    (event,) = wait_for(bugsink.events)
    said = r"watchdog\[firefox\]: killed firefox: never validated, started [\d.]+ s ago, maximum 1 s"
    assert re.match(said, event.message), event.message
    assert {"rule": "firefox", "reason": "never validated", "process": "firefox"}.items() <= event.tags.items()
    assert {"host", "user"} <= event.tags.keys()
    assert event.data["fingerprint"] == ["watchdog", "firefox", "never validated"]
    context = event.data["contexts"]["kill"]
    assert (context["last validated"], context["process id"]) == ("never", process.pid)
    assert str(kennel.home) in context["command"]
    assert "hunter22" not in bugsink.raw()
    kennel.stand_in().wait(60)
    wait_for(lambda: len(bugsink.events()) == 2)
    assert len(bugsink.issues()) == 1


def test_what_sentry_missed_comes_with_the_next_watchdog(kennel, start_with_dsn, bugsink):
    bugsink.stop()
    watch = start_with_dsn(bugsink.dsn)
    kennel.stand_in().wait(60)
    watch.said("WARNING Sentry: 1 waiting; Sentry cannot be reached: connection refused")
    watch.process.terminate()
    assert watch.process.wait(60) == 0
    assert len(list((watch.state / "spool/watchdog").glob("*-*"))) == 1
    bugsink.start()
    watch.start()
    wait_for(bugsink.events)


def test_the_end_does_not_wait_long_for_a_silent_sentry(kennel, start_with_dsn, bad):
    """SIGTERM, and nobody responds: it ends, and what is left is in the spool."""
    watch = start_with_dsn(f"http://0123456789abcdef@127.0.0.1:{bad.port('hole')}/1")
    kennel.stand_in().wait(60)
    watch.said("killed firefox")
    wait_for(lambda: list((watch.state / "spool/watchdog").glob("*-*")))
    watch.process.terminate()
    assert watch.process.wait(60) == 0
    assert len(list((watch.state / "spool/watchdog").glob("*-*"))) == 1
    assert watch.text().rstrip().endswith("stopped")


def test_what_comes_just_before_the_end_is_sent(kennel, start_with_dsn, bugsink):
    """SIGTERM ends the browser's grace and the watchdog at once; the kill is sent all the same."""
    kennel.stand_in("import signal, time; signal.signal(15, 1); time.sleep(600)")
    watch = start_with_dsn(bugsink.dsn, "validated_within = 1\ngrace = 1.5")
    watch.said("killed firefox")
    watch.process.terminate()
    assert watch.process.wait(60) == 0
    assert len(bugsink.events()) == 1
    watch.said(r"Sentry: 1 sent")


def test_once(kennel, bugsink, watching, monkeypatch):
    """`watchdog watch --once`, from cron, delivers before it ends."""
    monkeypatch.setenv("WATCHDOG_SENTRY_DSN", bugsink.dsn)
    kennel.stand_in()
    watch = watching("validated_within = 0.01", "--once")
    assert watch.process.wait(60) == 0
    assert len(bugsink.events()) == 1


def test_a_wrong_dsn_is_logged_and_the_watchdog_goes_on(kennel, start_with_dsn):
    watch = start_with_dsn("https://0123456789abcdef0123456789abcdef@sentry.example.com/")
    watch.said("ERROR alerts are not sent: the DSN does not end with the number of a project")
    kennel.stand_in().wait(60)
    watch.said("killed firefox")
    assert "0123456789abcdef" not in watch.text()


def test_a_missing_variable_is_logged_and_the_watchdog_goes_on(kennel, start_with_dsn, monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    watch = start_with_dsn("")
    watch.environment.pop("WATCHDOG_SENTRY_DSN")
    watch.process.terminate()
    watch.process.wait(60)
    watch.config.write_text(watch.config.read_text() + '[sentry]\ndsn = "${NO_SUCH}"\n')
    watch.start()
    watch.said(r"ERROR alerts are not sent: \[sentry\] dsn: the environment has no variable NO_SUCH")
    kennel.stand_in().wait(60)


def test_sighup_reloads_the_dsn(kennel, start_with_dsn, kent, bugsink, tmp_path):
    (tmp_path / "dsn").write_text(kent.dsn)
    watch = start_with_dsn("")
    watch.said("alerts are not sent: no DSN")
    watch.environment.pop("WATCHDOG_SENTRY_DSN")
    watch.process.terminate()
    watch.process.wait(60)
    watch.config.write_text(watch.config.read_text() + f'[sentry]\ndsn = "file:{tmp_path}/dsn"\nenvironment = "here"\n')
    watch.start()
    kennel.stand_in().wait(60)
    (event,) = wait_for(kent.events)
    assert event["environment"] == "here"
    (tmp_path / "dsn").write_text(bugsink.dsn)
    watch.process.send_signal(signal.SIGHUP)
    watch.said(f"alerts go to Sentry at 127.0.0.1:{bugsink.port}")
    kennel.stand_in().wait(60)
    wait_for(bugsink.events)
    assert len(kent.events()) == 1


def test_errors_are_sent_too(start_with_dsn, bugsink):
    watch = start_with_dsn(bugsink.dsn)
    watch.said("matches no process")
    watch.config.write_text("[watchdog.firefox]\nproces = 1\n")
    watch.process.send_signal(signal.SIGHUP)
    (event,) = wait_for(bugsink.events)
    assert event.message.startswith("watchdog: the old rules stay in force: configuration ")
    assert 'did you mean \\"process\\"?' in bugsink.raw()


def test_without_the_sdk_it_says_what_to_install(tmp_path):
    """`pip install servermonitoring` alone does not bring it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    code = "from watchdog.cli import main; main()"
    configuration = tmp_path / "servermonitoring.toml"  # its rule matches no process of anybody
    configuration.write_text(f'[state]\ndirectory = "{tmp_path}/state"\n[watchdog.none]\ncommand = "{tmp_path}/none"\n')
    command = [tmp_path / "venv/bin/python", "-c", code, "watch", "--once", "--config", configuration]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SENTRY_DSN": "http://0123456789abcdef@127.0.0.1:1/1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    error = "ERROR alerts are not sent: sentry-sdk is not installed: pip install 'servermonitoring[sentry]'"
    assert error in done.stderr


@pytest.mark.parametrize(
    ("variables", "configured", "dsn"),
    [
        ({}, "https://c0@h/1", "https://c0@h/1"),
        ({"SENTRY_DSN": "https://b0@h/1"}, "https://c0@h/1", "https://b0@h/1"),
        ({"SENTRY_DSN": "https://b0@h/1", "WATCHDOG_SENTRY_DSN": "https://a0@h/1"}, "", "https://a0@h/1"),
        ({"SENTRY_DSN": "https://b0@h/1", "WATCHDOG_SENTRY_DSN": ""}, "https://c0@h/1", ""),
        ({}, "", ""),
    ],
)
def test_the_dsn_in_force(monkeypatch, variables, configured, dsn):
    for name in ("SENTRY_DSN", "WATCHDOG_SENTRY_DSN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert settings.alert_destination({"dsn": configured}).dsn == dsn


@pytest.fixture
def alerts(kent, tmp_path):
    alerts = AlertHandler(AlertDestination(kent.dsn), tmp_path / "spool")
    alerts.start()
    yield alerts
    logging.getLogger("watchdog").removeHandler(alerts)


def test_a_storm_of_kills_is_summed_up(alerts, kent):
    """The first are sent one by one, the others in one event."""
    for _ in range(MOST_ALERTS + 7):
        logging.getLogger("watchdog").error("killed", extra={"kill": KILL})
    alerts.finish(20)
    messages = [event["message"] for event in kent.events()]
    assert messages.count(f"watchdog[firefox]: killed firefox-esr: {MESSAGE}") == MOST_ALERTS
    assert set(messages) - {messages[0]} == {
        "watchdog: 7 times killed firefox-esr (firefox: memory) within 10 min, in addition to those sent one by one"
    }


def test_the_same_error_is_sent_once_an_hour(alerts, kent):
    for number in range(3):
        logging.getLogger("watchdog.daemon").error("a scan failed: %d", number)
    logging.getLogger("watchdog.daemon").warning("no error")
    alerts.finish(20)
    assert [event["message"] for event in kent.events()] == ["watchdog: a scan failed: 0"]


def test_an_exception_brings_its_traceback(alerts, kent):
    try:
        int("password=hunter22")
    except ValueError:
        logging.getLogger("watchdog.daemon").exception("a scan failed")
    alerts.finish(20)
    (event,) = kent.events()
    assert event["message"] == "watchdog: a scan failed: invalid literal for int() with base 10: 'password=[Filtered]'"
    assert "test_handler.py" in event["contexts"]["error"]["traceback"]
    assert "hunter22" not in str(event)


def test_a_storm_ends_when_a_window_was_quiet():
    limiter = AlertThrottle()
    assert [limiter.admits("a", now) for now in range(25)] == [True] * MOST_ALERTS + [False] * 5
    assert limiter.summary(100) == ""
    assert limiter.due(100) == 520
    assert limiter.summary(620) == "5 times a"
    assert limiter.due(700) is None
    assert limiter.admits("a", 700)


def test_a_storm_that_goes_on_is_only_summed_up():
    limiter = AlertThrottle()
    admitted = [limiter.admits("a", now) for now in range(0, 700, 10)]
    assert sum(admitted) == MOST_ALERTS
    assert limiter.summary(800) == "50 times a"
    assert not limiter.admits("b", 801)
    assert limiter.summary(1399) == ""
    assert limiter.summary(1400) == "once b"
    assert limiter.admits("b", 1401)
