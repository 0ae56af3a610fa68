"""Alerts of the scheduled command: channels, repetition and the record of what was sent."""

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from servermonitoring.scheduled_run.sent_alerts import SentAlerts
from servermonitoring.scheduled_run.settings import DirectAlertSettings
from tests.reliability import reliability
from tests.servers.server import until

TCP = "healthchecks/test_tcp.py"
WRONG = "[run]\nwrong = 1\n"


@reliability(
    "Scheduled runs",
    fault="the cause of a fault stays for days",
    promise="one alert at once, then after 1 and 6 hours, then daily; the mail comes every time",
)
def test_a_fault_that_stays_is_alerted_once(checkout):
    checkout.configure(WRONG)
    for _ in range(3):
        status, mail = checkout.run(TCP)
        assert status == 4
        assert "unknown key" in mail
    assert "alert: sent " in mail
    assert len(checkout.run_alerts()) == 1
    (kept,) = checkout.state.glob("scheduled-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    memory = json.loads(kept.read_text())
    kept.write_text(json.dumps(memory | {"since": memory["since"] - 3700, "sent": memory["sent"] - 3700}))
    checkout.run(TCP)
    assert len(checkout.run_alerts()) == 2
    checkout.configure("")
    assert checkout.run(TCP) == (0, "")
    assert checkout.run(TCP) == (0, "")
    recovery = checkout.alerts()[-1]
    assert re.fullmatch(r"suite\[run\] recovered after 1 h \d+ min", recovery["title"])
    assert [recovery[key] for key in ("action", "status", "level", "data")] == ["recovered", "ok", "info", {}]
    checkout.configure(WRONG)
    checkout.run(TCP)
    assert len(checkout.run_alerts()) == 4
    (checkout.folder / ".venv/bin/pytest").unlink()
    checkout.run(TCP)
    assert len(checkout.run_alerts()) == 5  # another fault


def test_an_alert_that_no_channel_took_is_sent_by_the_next_run(checkout, website):
    checkout.configure(WRONG)
    website.answer("/hook", "later", status=503)
    _, mail = checkout.run(TCP)
    assert "alert: not sent to the webhook: alert not confirmed, response 503 Service Unavailable: later\n" in mail
    website.answer("/hook", "ok")
    _, mail = checkout.run(TCP)
    assert mail.endswith("alert: sent to the webhook\n")


@reliability(
    "Scheduled runs",
    fault="the run never came up, or was killed",
    promise="the service of `[heartbeat]` is sent a failure; of a run that recorded its end the run does that",
)
def test_a_run_that_never_came_up_is_a_failure_for_the_heartbeat(checkout, website):
    """Not a run of a part, which has no heartbeat; a run of reports has its own."""
    for path in ("5f0c", "5f0c/start", "5f0c/fail", "a0e1/fail"):
        website.answer(f"/ping/{path}", "OK")
    heartbeat = f"[heartbeat]\nurl = '{website.url('/ping/5f0c')}'\n"
    checkout.configure(heartbeat + WRONG)
    _, mail = checkout.run("healthchecks")
    assert mail.endswith("\nheartbeat: failure sent\n")
    for arguments in (["reports"], ["healthchecks", "-k", "tcp"], [TCP]):
        assert "heartbeat" not in checkout.run(*arguments)[1]
    checkout.pytest("kill -9 $$")
    checkout.run("healthchecks")
    failures = [each for each in website.requests if each.path.startswith("/ping/")]
    assert [(each.method, each.path) for each in failures] == [("POST", "/ping/5f0c/fail")] * 2
    assert "the run ended with exit status 4 before it recorded any result" in failures[0].body
    assert "the run was killed by signal 9 (SIGKILL)" in failures[1].body
    website.answer("/ping/5f0c/fail", "OK (not found)")
    _, mail = checkout.run("healthchecks")
    assert "heartbeat: failure not sent: the service (healthchecks.io) responds with 200 OK: OK (not found)\n" in mail
    assert "5f0c" not in mail
    checkout.configure(f"{heartbeat}reports_url = '{website.url('/ping/a0e1')}'\n{WRONG}")
    assert checkout.run("reports")[1].endswith("\nheartbeat: failure sent\n")
    assert [each.path for each in website.requests if "a0e1" in each.path] == ["/ping/a0e1/fail"]
    assert "heartbeat" not in checkout.run("reports", "--monitoring-param", "days=3")[1]


def test_a_channel_gets_it_that_takes_errors_of_this_machine(checkout, website):
    """Wrong words of `only` are no reason to send nothing."""
    hook = f"webhook = '{website.url('/hook')}'"
    checkout.configure(f"{WRONG}[alerts]\n{hook}\nwebhook_only = ['failed']\n", webhook=False)
    _, mail = checkout.run(TCP)
    assert mail.endswith(
        "alert: not sent: no [sentry] dsn, [alerts] webhook or [alerts] notify in the configuration takes it\n"
    )
    assert checkout.alerts() == []
    checkout.configure(f"{WRONG}[alerts]\n{hook}\nwebhook_only = ['faild']\n", webhook=False)
    _, mail = checkout.run(TCP)
    assert mail.endswith("alert: sent to the webhook\n")


def test_a_server_other_than_sentry_takes_no_alert(checkout, website):
    """A portal that responds to everything with 200."""
    website.answer("/api/1/envelope/", "<title>log in</title>")
    checkout.environment["SENTRY_DSN"] = f"http://key@{website.url('/').removeprefix('http://')}1"
    checkout.configure(WRONG)
    _, mail = checkout.run(TCP)
    assert "alert: not sent to Sentry: alert not confirmed, response 200 OK: <title>log in</title>\n" in mail
    assert "alert: sent to the webhook" in mail


def test_sentry_gets_the_alert_as_an_event(checkout, bugsink):
    """By the suite's variable; a secret of the configuration is not in it."""
    server = bugsink.fresh()
    checkout.environment |= {"HEALTHCHECKS_SENTRY_DSN": server.dsn, "SENTRY_ENVIRONMENT": "of the test"}
    checkout.configure("[database.main]\npassword = 's3cret-0f-the-test'\nport = 's3cret-0f-the-test'\n")
    path = Path(checkout.environment["SERVERMONITORING_CONFIG"])
    path.write_text(path.read_text().replace("[dashboard]", "[dashboard]\nurl = 'https://status.example.com/'"))
    _, mail = checkout.run(TCP)
    assert "alert: sent to Sentry\n" in mail
    (event,) = until(server.events, 60, what="the event")
    assert "suite[run]" in server.raw()
    assert "s3cret-0f-the-test" not in server.raw()
    assert event.data["contexts"]["check"]["link"] == "https://status.example.com/"
    assert [each["link"] for each in checkout.alerts()] == ["https://status.example.com/"]


@reliability(
    "Scheduled runs",
    fault="the configuration file is not TOML, a pipe, or names a secret that is missing",
    promise="the alert goes to the channels that can still be read from it",
)
def test_what_is_left_of_a_wrong_configuration(tmp_path, monkeypatch):
    path = tmp_path / "servermonitoring.toml"
    monkeypatch.setenv("SERVERMONITORING_CONFIG", str(path))
    monkeypatch.setenv("KEY", "of-the-test")
    (tmp_path / "dsn").write_text("https://key@sentry.example.com/1\n")
    path.write_text(
        f"[website.home\n[sentry]\ndsn = 'file:{tmp_path}/dsn'\n[alerts]\nwebhook = 'https://chat.example.com/${{KEY}}'\n"
        f"[state]\ndirectory = '{tmp_path}/state'\n[disk]\n= 1\n[dashboard]\nurl = 'https://status.example.com/'\n"
    )
    settings = DirectAlertSettings()
    assert (settings.dsn, settings.webhook, settings.state_directory) == (
        "https://key@sentry.example.com/1", "https://chat.example.com/of-the-test", tmp_path / "state",
    )  # fmt: skip
    assert settings.page == "https://status.example.com/"
    (tmp_path / "dsn").unlink()
    with pytest.raises(ValueError, match="cannot read the secret file"):
        _ = settings.dsn
    path.unlink()
    os.mkfifo(path)
    assert DirectAlertSettings().webhook == ""


def test_what_others_could_have_written_is_no_memory(tmp_path):
    now = time.time()
    kept = SentAlerts("healthchecks", tmp_path)
    kept.remember("full", now)
    assert kept.age("full", now + 10) == 10
    assert kept.age("other", now + 10) is None
    (file,) = tmp_path.iterdir()
    file.chmod(0o666)
    assert kept.age("full", now + 10) is None
    file.chmod(0o600)
    assert kept.age("full", now - 100_000) is None  # of a clock that was ahead
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert kept.age("full", now + 10) is None
    file.unlink()
    os.mkfifo(file)
    assert kept.age("full", now + 10) is None


def test_reminders_are_those_of_checks(tmp_path):
    kept = SentAlerts("healthchecks", tmp_path)
    start = time.time() - 10 * 86400
    due = [minute for minute in range(0, 3 * 1440, 10) if is_sent(kept, start + minute * 60)]
    assert due == [0, 60, 360, 1440, 2880]


def is_sent(kept: SentAlerts, now: float) -> bool:
    if kept.age("full", now) is not None:
        return False
    kept.remember("full", now)
    return True


def test_where_the_state_directory_takes_nothing_memory_does(tmp_path):
    kept = SentAlerts(str(tmp_path), tmp_path / "missing")
    now = time.time()
    try:
        kept.remember("full", now)
        assert kept.age("full", now + 1) == 1
    finally:
        assert kept.forget(now + 1) == now
        assert kept.forget(now + 1) is None
    assert kept.age("full", now + 1) is None


def test_services_of_apprise_are_sent_it_by_the_environment_s_own_packages(checkout, website):
    """The command itself has none of them: a process is started for each URL; a wrong one costs no other."""
    environment = Path(sys.prefix)
    (checkout.folder / ".venv/lib").symlink_to(environment / "lib")
    shutil.copy(environment / "pyvenv.cfg", checkout.folder / ".venv")
    place = website.url("/").removeprefix("http://")
    urls = [f"json://{place}hook/K3yOfTheService", f"json://{place}refusing", "slack://K3yOfTheService", "hello"]
    checkout.configure(f"{WRONG}[alerts]\nnotify = {urls}\n", webhook=False)
    website.answer("/hook/K3yOfTheService", "ok")
    website.answer("/refusing", "no_text", status=400)
    _, mail = checkout.run(TCP)
    assert "alert: sent to json (entry 1)\n" in mail
    assert "alert: not sent to json (entry 2): alert not confirmed, response 400 Bad Request: no_text\n" in mail
    assert "alert: not sent to slack (entry 3): the URL is not a complete URL of Slack: see https://" in mail
    assert "alert: not sent to [alerts] notify: entry 4: write the URL of a service as apprise has it" in mail
    assert "K3y" not in mail
    (alert,) = (json.loads(each.body) for each in website.requests if each.path == "/hook/K3yOfTheService")
    assert alert["title"].startswith("Error: suite[run]: ")
    assert 'unknown key "wrong"' in alert["message"]


def test_without_apprise_the_mail_names_the_extra(checkout, website):
    checkout.configure(
        f"{WRONG}[alerts]\nnotify = ['json://{website.url('/').removeprefix('http://')}']\n", webhook=False
    )
    _, mail = checkout.run(TCP)
    assert (
        "alert: not sent to json (entry 1): apprise is not installed: pip install 'servermonitoring[notify]'\n" in mail
    )
