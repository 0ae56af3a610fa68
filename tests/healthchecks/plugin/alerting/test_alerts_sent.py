"""Runs of the suite, and what a real Bugsink and a real kent receive."""

import socket
import subprocess
import sys
import time

import pytest

from tests.healthchecks.plugin.alerting.shops import Shops
from tests.reliability import reliability
from tests.servers.relay import Relay
from tests.servers.server import program, until
from tests.suite import table


@pytest.fixture
def shops(tmp_path):
    return Shops(tmp_path, "a", "b")


def test_a_failing_check_is_one_issue_with_tags_to_search_for(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="closed")
    shops.write("servermonitoring.toml", "[shop.a]\ngroup = 'town'\n[shop.b]\n[sentry]\nenvironment = 'staging'")
    outcome = shops.run()
    assert "Sentry: 1 sent" in outcome.output
    (issue,) = bugsink.issues()
    (event,) = bugsink.events()
    assert issue.title == "shop[a]: closed"
    assert issue.events == 1
    host = socket.gethostname()
    expected = {
        "check": "shop_words", "target": "a", "host": host, "group": "town", "severity": "error", "status": "failed",
        "action": "alert", "environment": "staging", "server_name": host,
    }  # fmt: skip
    assert {key: event.tags.get(key) for key in expected} == expected
    assert event.data["contexts"]["history"]["failures in a row"] == 1
    assert event.data["contexts"]["check"]["error"] == "AssertionError"
    assert event.data["contexts"]["check"]["duration"] >= 0


def test_the_same_failure_is_not_sent_again_and_another_check_is_another_issue(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="closed")
    shops.run()
    outcome = shops.run()
    assert "alerts not sent: 1 alerted before" in outcome.output
    shops.say(b="closed")
    shops.run()
    assert [(issue.title, issue.events) for issue in bugsink.issues()] == [
        ("shop[a]: closed", 1),
        ("shop[b]: closed", 1),
    ]


def test_recovery_is_no_event_and_a_new_failure_reopens_the_issue(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="closed")
    shops.run()
    bugsink.resolve(bugsink.issues()[0])
    shops.say(a="ok")
    shops.run()
    assert [(issue.events, issue.resolved) for issue in bugsink.issues()] == [(1, True)]
    shops.say(a="closed again")
    shops.run()
    assert [(issue.events, issue.resolved) for issue in bugsink.issues()] == [(2, False)]


@reliability(
    "Alerts",
    fault="a failing check passes once and fails again",
    promise="with `success_threshold = 2` that is no recovery and no new alert: it takes two passing runs in a row",
)
def test_a_failure_has_recovered_after_so_many_passing_runs(tmp_path, bugsink):
    shops = Shops(tmp_path, "a", more="success_threshold = 2").alert(bugsink.dsn)
    recovering = "alerts not sent: 1 recovering, below success_threshold"
    shops.say(a="closed")
    assert "Sentry: 1 sent" in shops.run().output
    for words, said in [("ok", recovering), ("closed", "alerts not sent: 1 alerted before"), ("ok", recovering)]:
        shops.say(a=words)
        assert said in shops.run().output
    assert "alerts not sent" not in shops.run().output
    assert bugsink.issues()[0].events == 1
    shops.say(a="closed")
    assert "Sentry: 1 sent" in shops.run().output
    assert bugsink.issues()[0].events == 2


def test_another_host_has_another_tag(tmp_path, bugsink):
    program("unshare")
    for host in ("web1", "web2"):
        (tmp_path / host).mkdir()
        shops = Shops(tmp_path / host, "a").alert(bugsink.dsn)
        shops.say(a="closed")
        command = ["unshare", "--uts", "--map-root-user", "sh", "-c", f'hostname {host} && exec "$@"', "sh"]
        run = [
            *command,
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:hypothesispytest",
            "test_mine.py",
        ]
        done = subprocess.run(
            run, cwd=shops.folder, env=shops.environment, capture_output=True, timeout=180, check=False
        )
        assert done.returncode == 1, done
    assert [issue.events for issue in bugsink.issues()] == [2]
    assert [event.tags["host"] for event in bugsink.events()] == ["web1", "web2"]


def test_200_failures_are_twenty_and_a_summary(tmp_path, bugsink):
    names = [f"t{number}" for number in range(200)]
    shops = Shops(tmp_path, *names).alert(bugsink.dsn)
    shops.say(**dict.fromkeys(names, "closed"))
    shops.run()
    titles = [issue.title for issue in bugsink.issues()]
    assert len(titles) == 21
    assert sum(title.startswith("suite[alerts]: 180 more checks are failing: shop[t") for title in titles) == 1


def test_without_a_limit_of_a_run_200_failures_are_200_events_once(tmp_path, bugsink):
    names = [f"t{number}" for number in range(200)]
    shops = Shops(tmp_path, *names).alert(bugsink.dsn)
    shops.configure("[alerts]\nmax_per_run = 0\n" + "".join(f"[shop.{name}]\n" for name in names))
    shops.say(**dict.fromkeys(names, "closed"))
    runs = 1
    while "waiting" in shops.run().output:  # what did not get through in time is sent by the next run
        runs += 1
        assert runs < 20
    assert sorted(event.tags["target"] for event in bugsink.events()) == sorted(names)


def test_while_sentry_is_away_alerts_wait_and_come_later_once(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="closed")
    bugsink.stop()
    outcome = shops.run()
    assert outcome.status == 1
    assert "Sentry: 1 waiting" in outcome.output
    bugsink.start()
    assert "Sentry: 1 sent" in shops.run().output
    assert [issue.events for issue in bugsink.issues()] == [1]
    assert "Sentry:" not in shops.run().output


def test_a_silent_sentry_holds_up_the_run_for_five_seconds_at_most(shops, hole):
    shops.alert(f"http://key@127.0.0.1:{hole.port}/1").say(a="closed")
    shops.environment["HEALTHCHECKS_SENTRY_DSN"] = ""
    started = time.monotonic()
    shops.run()
    alone = time.monotonic() - started
    shops.alert(f"http://key@127.0.0.1:{hole.port}/1")
    started = time.monotonic()
    outcome = shops.run()
    assert time.monotonic() - started - alone < 5 + 30, "and some for a busy machine"
    assert "1 waiting" in outcome.output


def test_a_run_by_hand_sends_and_stores_nothing(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="closed")
    outcome = shops.run("--monitoring-no-alerts", "test_mine.py")
    assert "alerts: none are sent (--monitoring-no-alerts)" in outcome.output
    shops.run()
    assert len(bugsink.events()) == 1


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("sentry.example.com", "does not begin with https://"),
        ("https://sentry.example.com/1", "has no key"),
        ("https://0123456789abcdef0123456789abcdef@sentry.example.com/", "does not end with the number of a project"),
    ],
)
def test_a_wrong_dsn_is_shown_and_the_run_goes_on(shops, dsn, words):
    outcome = shops.alert(dsn).run()
    assert outcome.status == 0
    assert words in outcome.output
    assert "0123456789abcdef" not in outcome.output


def test_without_a_dsn_the_run_says_that_no_alerts_are_sent(shops):
    assert "alerts: none are sent" in shops.run().output
    assert not list(shops.state.rglob("*spool*"))


def test_logged_errors_and_messages_of_their_own_reach_sentry(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="log: cold", b="message: the queue is long")
    assert shops.run().status == 0
    shops.run()
    events = {event.message: event for event in bugsink.events()}
    assert set(events) == {"shop[a]: cache of a is cold", "shop[b]: the queue is long"}
    assert events["shop[b]: the queue is long"].data["level"] == "warning"
    assert events["shop[b]: the queue is long"].data["contexts"]["check"]["queue"] == "orders"
    shops.say(a="closed")
    shops.run()
    assert [issue.events for issue in bugsink.issues() if "[a]" in issue.title] == [2]  # in the issue of its check


def test_a_file_that_cannot_be_collected_is_alerted(shops, bugsink):
    shops.alert(bugsink.dsn).write("test_broken.py", "import no_such_module_anywhere\n")
    shops.run("test_mine.py", "test_broken.py")
    assert [issue.title for issue in bugsink.issues()] == [
        "test_broken.py: ModuleNotFoundError: No module named 'no_such_module_anywhere'"
    ]


def test_an_output_that_fails_is_alerted_once(shops, bugsink):
    shops.alert(bugsink.dsn)
    (shops.folder / "reports").write_text("a file where a directory should be")
    shops.run()
    shops.run()
    assert [(issue.title.partition(":")[0], issue.events) for issue in bugsink.issues()] == [("suite[page]", 1)]


def test_a_hook_that_fails_is_alerted(shops, bugsink):
    shops.alert(bugsink.dsn).write(
        "conftest.py", "def pytest_runtest_logfinish(nodeid):\n    raise RuntimeError('hook is broken')\n"
    )
    assert shops.run().status == 3
    where = f"pytest_runtest_logfinish of {shops.folder}/conftest.py"
    assert [issue.title for issue in bugsink.issues()] == [
        f"suite[pytest]: the hook {where} failed: RuntimeError: hook is broken"
    ]


def test_a_damaged_history_is_alerted_and_nothing_twice(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="closed")
    shops.run()
    (shops.state / "history.sqlite").write_bytes(b"no database" * 1000)
    for suffix in ("-wal", "-shm"):
        (shops.state / f"history.sqlite{suffix}").unlink(missing_ok=True)
    shops.run()
    titles = [(issue.title.partition(":")[0], issue.events) for issue in bugsink.issues()]
    assert titles == [("shop[a]", 1), ("suite[history]", 1)]


@pytest.fixture
def checking_in(shops, kent):
    shops.configure(
        "[shop.a]\n[sentry.check_in]\nmonitor = 'shops'\nschedule = '*/10 * * * *'\ntimezone = 'Europe/Berlin'\n"
        "margin = '5m'\nmax_runtime = '9m'\n"
    )
    return shops.alert(kent.dsn)


@pytest.mark.parametrize(("words", "status", "said"), [("ok", 0, "ok"), ("closed", 1, "ok")])
def test_a_run_checks_in_and_says_that_it_ran(checking_in, kent, words, status, said):
    checking_in.say(a=words)
    assert checking_in.run().status == status
    begun, ended = kent.check_ins()
    assert (begun["status"], ended["status"]) == ("in_progress", said)
    assert begun["check_in_id"] == ended["check_in_id"]
    assert {begun["monitor_slug"], ended["monitor_slug"]} == {"shops"}
    assert begun["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "*/10 * * * *"},
        "timezone": "Europe/Berlin",
        "checkin_margin": 5,
        "max_runtime": 9,
    }


@pytest.mark.parametrize(
    ("monitor", "slugs"), [("", set()), ("[sentry.check_in.reports]\nmonitor = 'daily'\n", {"daily"})]
)
def test_a_run_of_reports_has_a_monitor_of_its_own(checking_in, kent, monitor, slugs):
    """Else an "ok" of the daily reports would stand for the checks that did not run."""
    checking_in.configure(
        f"[database.main]\nhost = '127.0.0.1'\nport = 9\n[sentry.check_in]\nmonitor = 'shops'\n{monitor}"
    )
    (checking_in.folder / "reports").mkdir()
    checking_in.write("reports/numbers.sql", "-- title: Numbers\nselect 1\n")
    checking_in.run("reports")
    assert {each["monitor_slug"] for each in kent.check_ins()} == slugs


HANGING = """
    import time
    from pathlib import Path
    from healthchecks import Target

    class Shop(Target):
        pass

    def test_hanging(shop: Shop):
        Path("hanging").touch()
        time.sleep(30)
"""


@pytest.mark.parametrize(("signal", "said"), [("terminate", ["in_progress", "error"]), ("kill", ["in_progress"])])
def test_a_run_that_is_ended_says_error_and_one_that_is_killed_says_nothing(checking_in, kent, signal, said):
    checking_in.write("test_mine.py", HANGING)
    process = checking_in.start("test_mine.py")
    until((checking_in.folder / "hanging").exists, what="the hanging test")
    until(kent.check_ins, what="the first check-in")
    getattr(process, signal)()
    process.wait(60)
    assert [each["status"] for each in kent.check_ins()] == said


def test_a_run_that_never_starts_sends_nothing(checking_in, kent):
    checking_in.configure("[shop.a]\nwrong = 1\n[sentry.check_in]\nmonitor = 'shops'\n")
    assert checking_in.run().status == 4
    assert kent.envelopes() == []


def test_the_requests_of_checks_carry_nothing_of_sentry(run_suite, website, kent, monkeypatch):
    monkeypatch.setenv("HEALTHCHECKS_SENTRY_DSN", kent.dsn)
    outcome = run_suite(table("website", "home", url=website.url("/"), contains="no such text"))
    assert outcome.status == 1
    assert [event["message"] for event in kent.events()]
    assert website.requests
    assert not [name for each in website.requests for name in each.headers if name in ("sentry-trace", "baggage")]


@reliability(
    "Alerts",
    fault="the spool cannot be written, and Sentry is away",
    promise="the alert is not stored as sent: the next run sends it",
)
def test_an_alert_that_was_not_kept_and_not_sent_is_due_again(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="closed")
    shops.run("--monitoring-no-alerts", "test_mine.py")
    (shops.state / "spool").write_text("a file where a directory should be")
    bugsink.stop()
    outcome = shops.run()
    bugsink.start()
    assert "Sentry: 1 sent" in shops.run().output  # from memory, and stored as sent
    assert "alerts not sent: 1 alerted before" in shops.run().output
    assert [(issue.title, issue.events) for issue in bugsink.issues()] == [("shop[a]: closed", 1)]
    assert bugsink.events()[0].data["contexts"]["history"]["failures in a row"] == 2
    assert "1 waiting" in outcome.output
    assert "cannot be written: Not a directory" in outcome.output


@reliability(
    "Alerts",
    fault="a captive portal answers 200 in Sentry's place",
    promise="the run says so, and the next one delivers the alert",
)
def test_an_answer_that_is_not_sentrys_is_said_and_the_alert_arrives_later(shops, bugsink):
    with Relay(bugsink.dsn) as relay:
        relay.answer(200, body=b"<html>Welcome to the network of this hotel</html>")
        shops.alert(relay.dsn).say(a="closed")
        assert (
            "Sentry: 1 waiting; responds with 200 OK without confirming the alert: check its address"
            in shops.run().output
        )
        relay.recover()
        assert "Sentry: 1 sent" in shops.run().output
    assert [issue.events for issue in bugsink.issues()] == [1]


@reliability(
    "Alerts",
    fault="the state of the alerts is damaged",
    promise="alerting goes on, with its older copy or without, and one suite error says so",
)
@pytest.mark.parametrize(("names", "events"), [(["alerts.json"], 1), (["alerts.json", "alerts.old.json"], 2)])
def test_a_damaged_state_of_the_alerts_is_alerted_once(shops, bugsink, names, events):
    shops.alert(bugsink.dsn).say(a="closed")
    for _ in range(2):
        shops.run()
    for name in names:
        (shops.state / name).write_bytes(b"{" + bytes(500))
    outcome = shops.run()
    assert "the state of the alerts cannot be read: alerts.json is damaged: " in outcome.output
    shops.say(b="closed")
    for _ in range(2):
        shops.run()
    events_of = {issue.title.partition(":")[0]: issue.events for issue in bugsink.issues()}
    assert events_of == {"shop[a]": events, "suite[alerts]": 1, "shop[b]": 1}
