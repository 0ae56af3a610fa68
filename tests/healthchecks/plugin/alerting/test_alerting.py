"""From the results of runs to alerts, with their state in a real file."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from healthchecks.plugin.alerting.alert import EarlierResult
from healthchecks.plugin.alerting.decision import DAILY_LIMIT, RECOVERY_SUMMARY, SUMMARY, AlertSelection, Decider
from healthchecks.plugin.alerting.policy import Action
from healthchecks.plugin.alerting.store import StateFile
from healthchecks.plugin.result import LogLine, Result, Status

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def result(target="home", status=Status.FAILED, message="status 502 instead of 200", **more) -> Result:
    kind = "Unhealthy" if status is Status.FAILED else ""
    fields = {"duration": 0.1, "started": START, "host": "web1", "kind": kind, **more}
    return Result("website_access", target, f"website[{target}]", status, message, **fields)


def line(text, level=logging.ERROR, **more) -> LogLine:
    return LogLine(START.timestamp(), level, "shop", text, text, **more)


class Runs:
    """Runs one after another on one file, ten minutes apart."""

    def __init__(self, directory, selection=None, host="web1"):
        self.file, self.selection, self.host = StateFile(directory), selection or AlertSelection(), host
        self.now, self.alerts, self.earlier = START, [], {}

    def run(self, *results, after=timedelta(minutes=10), is_killed=False, lost=()):
        """The alerts of this run; a killed one sends them and stores nothing."""
        state = self.file.begin().state
        decided = Decider(self.selection, self.host, state, self.now, self.earlier).decide(results)
        if not is_killed:
            changed, sent = decided.to_store([alert.id for alert in decided.alerts if alert.key[1] in lost])
            self.file.change(lambda state: state.change(changed, sent, self.now.timestamp()))
        for each in results:
            before = self.earlier.get(each.key, [])
            self.earlier[each.key] = [EarlierResult(self.now, each.status, each.duration), *before][:10]
        self.now += after
        self.alerts += decided.alerts
        self.decided = decided
        return decided.alerts

    @property
    def events(self):
        return [each for each in self.alerts if not each.is_recovery]

    @property
    def recoveries(self):
        return [each for each in self.alerts if each.is_recovery]


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


def test_a_failure_is_alerted_once_with_what_a_person_needs(runs):
    runs.run(result(status=Status.OK, message=""))
    (alert,) = runs.run(result(group="shop"))
    assert alert.title == "website[home]: status 502 instead of 200"
    assert (alert.action, alert.failures, alert.since) == (Action.ALERT, 1, START + timedelta(minutes=10))
    assert [(each.time, each.status) for each in alert.earlier] == [(START, Status.OK)]
    assert alert.result.group == "shop"
    assert runs.run(result()) == []


def test_the_severity_of_a_target_is_the_level_of_its_alerts(runs):
    alerts = runs.run(result("home"), result("extra", severity="warning"))
    assert {alert.key[1]: alert.level for alert in alerts} == {"home": "error", "extra": "warning"}


def test_an_incident_is_stored_until_enough_runs_have_passed(runs):
    passing, failing = (result(status=each, success_threshold=2) for each in (Status.OK, Status.FAILED))
    runs.run(failing)
    issue = runs.file.read().state.incidents[*failing.key, ""].event
    for each, successes in [(passing, 1), (failing, 0), (passing, 1)]:
        assert (runs.run(each), runs.decided.to_resolve) == ([], {})
        incident = runs.file.read().state.incidents[*each.key, ""]
        assert (incident.successes, incident.event) == (successes, issue)
    (recovery,) = runs.run(passing)
    assert (recovery.action, recovery.title) == (Action.RECOVERED, "website[home] recovered after 40 min")
    assert list(runs.decided.to_resolve) == [issue]
    assert runs.file.read().state.incidents == {}


def test_a_message_is_over_when_it_does_not_come_again(runs):
    """The threshold is that of the check's own result."""
    runs.run(result(status=Status.OK, message="", success_threshold=5, log=[line("late", is_message=True)]))
    runs.run(result(status=Status.OK, message="", success_threshold=5))
    assert runs.decided.actions[Action.RECOVERED] == 1


def test_144_runs_make_the_first_event_and_the_reminders(runs):
    for _ in range(144):
        runs.run(result())
    assert [(alert.action, alert.failures, alert.suppressed) for alert in runs.alerts] == [
        (Action.ALERT, 1, 0), (Action.REMINDER, 7, 5), (Action.REMINDER, 37, 29),
    ]  # fmt: skip
    assert len({alert.id for alert in runs.alerts}) == 3


def test_a_run_that_is_killed_before_it_stores_sends_the_same_event_again(runs):
    """The server drops the second of two with one id."""
    first = runs.run(result(), is_killed=True)
    assert [alert.id for alert in runs.run(result())] == [alert.id for alert in first]


def test_each_failure_is_an_event_of_its_own(runs):
    for _ in range(3):
        runs.run(result())
        runs.run(result(status=Status.OK, message=""))
    assert [alert.action for alert in runs.alerts] == [Action.ALERT, Action.RECOVERED] * 3
    assert len({alert.id for alert in runs.alerts}) == 6


def test_hosts_make_events_of_their_own(tmp_path):
    ids = set()
    for host in ("web1", "web2"):
        (tmp_path / host).mkdir()
        ids |= {alert.id for alert in Runs(tmp_path / host, host=host).run(result())}
    assert len(ids) == 2


PASSING = {"status": Status.OK, "message": ""}


def test_a_recovery_is_sent_once_and_names_the_issue_to_resolve(runs):
    (alert,) = runs.run(result())
    runs.run(result(), after=timedelta(minutes=32))
    (recovery,) = runs.run(result(**PASSING, runbook="look at the proxy"))
    assert (recovery.title, recovery.action, recovery.level) == (
        "website[home] recovered after 42 min", Action.RECOVERED, "info",
    )  # fmt: skip
    assert (recovery.since, recovery.failures, recovery.time) == (START, 2, START + timedelta(minutes=42))
    assert (recovery.fingerprint, recovery.runbook) == (alert.fingerprint, "look at the proxy")
    assert list(runs.decided.to_resolve) == [alert.id]
    assert runs.run(result(**PASSING)) == []
    assert runs.decided.to_resolve == {}


def test_what_was_never_alerted_does_not_recover(tmp_path):
    """Below its threshold, in maintenance, over the limit of the day."""
    runs = Runs(tmp_path, AlertSelection(max_per_day=2))
    for failing in (result(failure_threshold=2), result(maintenance=True)):
        runs.run(failing)
        assert runs.run(result(**PASSING)) == []
    for _ in range(4):
        runs.run(result("a"))
        runs.run(result("a", **PASSING))
    assert [each.key == DAILY_LIMIT for each in runs.events] == [False, False, True]
    assert len(runs.recoveries) == 2


def test_a_website_that_flaps_sends_two_messages(runs):
    """Twenty runs, in turn failing and passing; then it passes."""
    failing, passing = (result(status=each, success_threshold=3) for each in (Status.FAILED, Status.OK))
    for number in range(20):
        runs.run(passing if number % 2 else failing, after=timedelta(minutes=2))
    for _ in range(5):
        runs.run(passing)
    assert [each.title for each in runs.alerts] == [
        "website[home]: status 502 instead of 200", "website[home] recovered after 50 min",
    ]  # fmt: skip


def test_recoveries_of_a_storm_are_twenty_and_a_summary(runs):
    """Also of what a summary alerted; they are events of no day."""
    names = [f"t{number}" for number in range(200)]
    runs.run(*map(result, names))
    alerts = runs.run(*(result(name, **PASSING) for name in names))
    assert [alert.key[1] for alert in alerts[:20]] == names[:20]
    summary = alerts[20]
    assert (len(alerts), summary.key, summary.level, summary.is_recovery) == (21, RECOVERY_SUMMARY, "info", True)
    assert summary.title.startswith("suite[alerts]: 180 more checks recovered: website[t20], website[t21], ")
    assert summary.title.endswith("website[t29] and 170 more")
    assert len(runs.file.read().state.sent_today(runs.now.timestamp())) == 21
    assert runs.run(*(result(name, **PASSING) for name in names)) == []


def test_a_recovery_of_what_was_logged_says_so(runs):
    logged = [line("cache is cold"), line("the backlog is long", logging.WARNING, is_message=True)]
    runs.run(result(**PASSING, log=logged))
    assert [each.title for each in runs.run(result(**PASSING))] == [
        "website[home] logs no errors any more, after 10 min",
        "website[home] no longer reports, after 10 min: the backlog is long",
    ]


def test_a_clock_that_was_set_back_makes_no_negative_duration(runs):
    runs.run(result())
    runs.now = START - timedelta(hours=2)
    (recovery,) = runs.run(result(**PASSING))
    assert (recovery.title, recovery.since) == ("website[home] recovered after 0 s", runs.now - timedelta(minutes=10))


def test_blocked_and_maintenance_are_muted_and_what_still_fails_then_is_alerted(runs):
    assert runs.run(result(status=Status.BLOCKED, message="behind tcp[gateway]")) == []
    assert runs.run(result(maintenance=True)) == []
    (alert,) = runs.run(result())
    assert (alert.failures, alert.since) == (2, START + timedelta(minutes=10))


def test_more_than_twenty_are_twenty_and_a_summary(runs):
    alerts = runs.run(*(result(f"t{number}") for number in range(200)))
    assert [alert.key[1] for alert in alerts[:20]] == [f"t{number}" for number in range(20)]
    assert [alert.key for alert in alerts[20:]] == [SUMMARY]
    assert alerts[20].message.startswith("180 more checks are failing: website[t20], website[t21], ")
    assert alerts[20].message.endswith("website[t29] and 170 more")
    assert runs.run(*(result(f"t{number}") for number in range(200))) == []


def test_without_a_limit_of_a_run_all_are_sent(tmp_path):
    alerts = Runs(tmp_path, AlertSelection(max_per_run=0)).run(*(result(f"t{number}") for number in range(200)))
    assert len(alerts) == 200


def test_what_a_summary_names_is_not_resolved(tmp_path):
    runs = Runs(tmp_path, AlertSelection(max_per_run=1))
    first, _ = runs.run(result("a"), result("b"))
    runs.run(result("a", Status.OK, ""), result("b", Status.OK, ""))
    assert list(runs.decided.to_resolve) == [first.id]


def test_the_daily_limit_is_sent_once_and_lifted_by_time(tmp_path):
    runs = Runs(tmp_path, AlertSelection(max_per_day=3))
    for _ in range(6):
        runs.run(result())
        runs.run(result(status=Status.OK, message=""))
    assert [alert.key == DAILY_LIMIT for alert in runs.events] == [False, False, False, True]
    assert len(runs.recoveries) == 3
    assert len(runs.run(result("other"))) == 1  # not alerted today
    runs.now += timedelta(hours=24)
    assert len(runs.run(result())) == 1


def test_another_class_of_error_is_sent(runs):
    runs.run(result(message="no response within 10 s", kind="ProbeTimeout"))
    (alert,) = runs.run(result(status=Status.ERROR, message="TypeError: …", kind="TypeError"))
    assert alert.action is Action.CHANGED


def test_without_a_state_all_that_fails_is_alerted_whatever_the_threshold():
    alerts = Decider(AlertSelection(), "web1", None, START).decide([result(failure_threshold=3)]).alerts
    assert [alert.title for alert in alerts] == ["website[home]: status 502 instead of 200"]


def test_a_logged_error_of_a_passing_check_is_sent_to_its_issue(runs):
    logged = result(status=Status.OK, message="", log=[line("cache is cold"), line("really")])
    (alert,) = runs.run(logged)
    assert alert.title == "website[home]: cache is cold (and 1 more)"
    assert alert.fingerprint == ["website_access", "home"]
    assert runs.run(logged) == []
    runs.run(result(status=Status.OK, message=""))
    assert list(runs.decided.to_resolve) == [alert.id]
    assert len(runs.run(logged)) == 1


def test_a_logged_error_of_a_failing_check_is_not_sent_twice(runs):
    (alert,) = runs.run(result(log=[line("upstream is gone")]))
    assert alert.message == "status 502 instead of 200"


def test_what_a_shared_probe_logged_is_sent_for_one_check_only(runs):
    assert runs.run(result(status=Status.OK, message="", log=[line("cache is cold", is_repeated=True)])) == []


def test_warnings_are_not_sent(runs):
    assert runs.run(result(status=Status.OK, message="", log=[line("slow", logging.WARNING)])) == []


def test_a_message_of_its_own_is_an_issue_of_its_own_whatever_the_result(runs):
    message = line("the backlog is long", logging.WARNING, is_message=True, data={"length": "1200"})
    sent = runs.run(result(log=[message, message]))
    assert [(alert.level, alert.message, alert.data) for alert in sent] == [
        ("error", "status 502 instead of 200", {}), ("warning", "the backlog is long", {"length": "1200"}),
    ]  # fmt: skip
    assert sent[1].fingerprint == ["website_access", "home", "the backlog is long"]


def test_a_run_of_other_checks_changes_no_incident(runs):
    runs.run(result())
    runs.run(result("other", Status.OK, ""))
    assert runs.run(result()) == []
