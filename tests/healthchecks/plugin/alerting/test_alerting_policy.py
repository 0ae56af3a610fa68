"""The alert policy, row by row of the table in docs/alerts.md."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchecks.plugin.alerting.policy import Action, Condition, Incident, Observation, decide, keep_due, plan
from tests import ROOT

DOCUMENT = ROOT / "docs" / "alerts.md"
HOUR = 3600.0
START = 1_800_000_000.0  # when the first alert was sent
KEY = ("website_access", "home", "")

STORED = {
    "nothing": None,
    "1 failure, not alerted": Incident(START, "", failures=1),
    "2 failures, not alerted": Incident(START, "", failures=2),
    "failing in maintenance, now over": Incident(START, "", failures=9, suppressed=9),
    "failing and silenced, now over": Incident(START, "", failures=9, suppressed=9, was_silenced=True),
    "alerted": Incident(START, "", 1, 0, START, 0, frozenset({"failed ProbeTimeout", "failed OSError"})),
    "alerted, 1 pass since": Incident(START, "", 1, 1, START, 0, frozenset({"failed ProbeTimeout", "failed OSError"})),
    "alerted, then silenced, now over": Incident(
        START, "", 5, 0, START, 0, frozenset({"failed ProbeTimeout"}), suppressed=4, was_silenced=True
    ),
    "alerted, reminded after 1 hour": Incident(START, "", 7, 0, START, 1, frozenset({"failed ProbeTimeout"})),
    "alerted, reminded after 6 hours": Incident(START, "", 37, 0, START, 2, frozenset({"failed ProbeTimeout"})),
    "alerted, by a clock that was set back since": Incident(
        START, "", 1, 0, START + 9 * HOUR, 0, frozenset({"failed ProbeTimeout"})
    ),
    "alerted, reminded by a clock that was years ahead": Incident(
        START, "", 7, 0, START, 1800, frozenset({"failed ProbeTimeout"})
    ),
}
OBSERVED = {
    "passing": Observation(KEY, Condition.PASSING),
    "passing, `success_threshold = 2`": Observation(KEY, Condition.PASSING, success_threshold=2),
    "passing, `success_threshold = 3`": Observation(KEY, Condition.PASSING, success_threshold=3),
    "failing": Observation(KEY, Condition.FAILING, "failed ProbeTimeout"),
    "failing, `failure_threshold = 1`": Observation(KEY, Condition.FAILING, "failed ProbeTimeout"),
    "failing, `failure_threshold = 3`": Observation(KEY, Condition.FAILING, "failed ProbeTimeout", failure_threshold=3),
    "failing, in maintenance": Observation(KEY, Condition.FAILING, "failed ProbeTimeout", in_maintenance=True),
    "failing, silenced": Observation(KEY, Condition.FAILING, "failed ProbeTimeout", is_silenced=True),
    "failing with an error not alerted yet, silenced": Observation(
        KEY, Condition.FAILING, "failed AssertionError", is_silenced=True
    ),
    "failing with an error not alerted yet": Observation(KEY, Condition.FAILING, "failed AssertionError"),
    "failing with an error alerted before": Observation(KEY, Condition.FAILING, "failed OSError"),
    "blocked or skipped": Observation(KEY, Condition.UNKNOWN),
}
WHEN = {
    "": (0.0, 1.0, 50 * HOUR),
    "at any time": (0.0, 10.0, 0.9 * HOUR),
    "within an hour": (0.0, 600.0, HOUR - 1),
    "after 1 hour": (HOUR, HOUR + 1, 6 * HOUR - 1, 7 * HOUR),
    "within 6 hours": (HOUR + 600, 6 * HOUR - 1),
    "after 6 hours": (6 * HOUR, 6 * HOUR + 599),
    "within 30 hours": (6 * HOUR + 600, 30 * HOUR - 1),
    "after 30 hours": (30 * HOUR, 31 * HOUR),
    "after 5 days without a run": (120 * HOUR,),
}


def rows() -> list[tuple[str, ...]]:
    text = DOCUMENT.read_text().split("<!-- policy -->")[1].split("\n\n")[1]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines()[2:]]


@pytest.mark.parametrize("row", rows(), ids=" / ".join)
def test_the_table_is_the_policy(row):
    stored, observation, when, action = row
    for elapsed in WHEN[when]:
        assert decide(STORED[stored], OBSERVED[observation], START + elapsed)[0] == Action(action), elapsed


def test_the_table_has_every_state_and_every_action():
    assert {row[0] for row in rows()} == set(STORED)
    assert {row[1] for row in rows()} == set(OBSERVED)
    assert {row[3] for row in rows()} == {str(action) for action in Action}
    assert all(f"**{action}**" in DOCUMENT.read_text() for action in Action if action.is_event)


def run_all(moments, observation=OBSERVED["failing"], incident=None):
    """Return the actions of runs at these moments, and what is stored in the end."""
    actions = []
    for moment in moments:
        action, incident = decide(incident, observation, moment)
        actions.append(action)
    return actions, incident


def test_a_day_of_runs_each_ten_minutes_sends_an_alert_and_two_reminders():
    moments = [START + 600 * number for number in range(144)]
    actions, incident = run_all(moments)
    sent = {(moment - START) / HOUR: action for moment, action in zip(moments, actions, strict=True) if action.is_event}
    assert sent == {0: Action.ALERT, 1: Action.REMINDER, 6: Action.REMINDER}
    assert incident.failures == 144
    assert incident.suppressed == 144 - 36 - 1  # since the reminder at 6 h, the 37th run


def test_the_first_alert_says_since_when_it_fails():
    actions, incident = run_all([START, START + 600, START + 1200], OBSERVED["failing, `failure_threshold = 3`"])
    assert actions == [Action.DEFERRED, Action.DEFERRED, Action.ALERT]
    assert (incident.since, incident.alerted_at) == (START, START + 1200)


def test_errors_that_take_turns_are_alerted_once_each():
    incident, sent = None, []
    for number in range(12):
        kind = "failed ProbeTimeout" if number % 2 else "failed OSError"
        action, incident = decide(incident, Observation(KEY, Condition.FAILING, kind), START + number * 60)
        sent.append(action)
    assert [action for action in sent if action.is_event] == [Action.ALERT, Action.CHANGED]


def test_a_passing_check_has_no_incident():
    assert decide(STORED["alerted"], OBSERVED["passing"], START)[1] is None


def test_a_recovery_takes_success_threshold_passing_runs_in_a_row():
    passing, failing = OBSERVED["passing, `success_threshold = 3`"], OBSERVED["failing"]
    unknown = OBSERVED["blocked or skipped"]
    runs = [failing, passing, passing, failing, passing, unknown, passing, passing, failing]
    incident, actions = None, []
    for number, observation in enumerate(runs):
        action, incident = decide(incident, observation, START + 60 * number)
        actions.append(action)
    assert actions == [
        Action.ALERT, Action.RECOVERING, Action.RECOVERING, Action.SUPPRESSED, Action.RECOVERING, Action.NONE,
        Action.RECOVERING, Action.RECOVERED, Action.ALERT,
    ]  # fmt: skip
    assert (incident.failures, incident.successes, incident.since) == (1, 0, START + 480)


def test_the_same_failure_goes_on_while_it_has_not_recovered():
    _, incident = decide(STORED["alerted"], OBSERVED["passing, `success_threshold = 2`"], START + 600)
    assert (incident.failures, incident.successes, incident.alerted_at, incident.suppressed) == (1, 1, START, 0)
    action, incident = decide(incident, OBSERVED["failing"], START + 1200)
    assert action is Action.SUPPRESSED
    assert (incident.failures, incident.successes, incident.since, incident.suppressed) == (2, 0, START, 1)


@given(
    threshold=st.integers(1, 4),
    passes=st.lists(st.booleans(), min_size=1, max_size=60),
)
def test_a_check_recovers_after_exactly_success_threshold_passing_runs(threshold, passes):
    incident, in_a_row, alerted = None, 0, False
    for number, is_passing in enumerate(passes):
        in_a_row = in_a_row + 1 if is_passing else 0
        condition = Condition.PASSING if is_passing else Condition.FAILING
        observation = Observation(KEY, condition, "failed OSError", 1, threshold)
        action, incident = decide(incident, observation, START + number)
        if is_passing:
            over = in_a_row >= threshold
            assert action is (Action.NONE if not alerted else Action.RECOVERED if over else Action.RECOVERING)
            alerted = alerted and not over
        else:
            assert action is (Action.SUPPRESSED if alerted else Action.ALERT)
            alerted = True


def test_what_is_unknown_is_stored_as_it_was():
    incident = STORED["alerted, reminded after 1 hour"]
    assert decide(incident, OBSERVED["blocked or skipped"], START + 100 * HOUR)[1] == incident


@pytest.mark.parametrize(
    "stored", ["alerted, by a clock that was set back since", "alerted, reminded by a clock that was years ahead"]
)
def test_a_clock_that_was_wrong_suppresses_no_reminder(stored):
    incident = STORED[stored]
    actions, _ = run_all([START, START + HOUR / 2, START + HOUR], incident=incident)
    assert actions == [Action.SUPPRESSED, Action.SUPPRESSED, Action.REMINDER]


def test_the_event_after_a_silence_is_sent_once():
    """Also where maintenance follows the silence, and where a limit suppresses it at first."""
    runs = [OBSERVED["failing"], OBSERVED["failing, silenced"], OBSERVED["failing, in maintenance"]]
    incident, actions = None, []
    for number, observation in enumerate([*runs, OBSERVED["failing"], OBSERVED["failing"]]):
        before = incident
        action, incident = decide(incident, observation, START + number)
        actions.append(action)
        if action is Action.REMINDER:
            again = decide(keep_due(before, incident), OBSERVED["failing"], START + number)
            assert again[0] is Action.REMINDER
    assert actions == [Action.ALERT, Action.MUTED, Action.MUTED, Action.REMINDER, Action.SUPPRESSED]


def test_a_suppressed_event_stays_due():
    before = STORED["alerted"]
    action, incident = decide(before, OBSERVED["failing"], START + HOUR)
    assert action is Action.REMINDER
    assert decide(keep_due(before, incident), OBSERVED["failing"], START + HOUR + 600)[0] is Action.REMINDER
    action, incident = decide(None, OBSERVED["failing"], START)
    assert decide(keep_due(None, incident), OBSERVED["failing"], START + 600)[0] is Action.ALERT


@given(
    gaps=st.lists(st.floats(1, 40 * HOUR), min_size=1, max_size=60),
    statuses=st.lists(
        st.sampled_from([OBSERVED["passing"], OBSERVED["failing"], OBSERVED["blocked or skipped"]]), min_size=60
    ),
)
def test_every_failure_is_alerted_once_and_no_reminder_comes_too_often(gaps, statuses):
    now, incident, sent_at = START, None, []
    for gap, observation in zip(gaps, statuses, strict=False):
        now += gap
        action, incident = decide(incident, observation, now)
        if observation.condition is Condition.PASSING:
            sent_at = []
        elif action.is_event:
            assert action is (Action.REMINDER if sent_at else Action.ALERT)
            assert not sent_at or now - sent_at[0] >= HOUR
            assert len(sent_at) < 2 or now - sent_at[0] >= 6 * HOUR
            assert len(sent_at) < 3 or now - sent_at[-1] > 0
            sent_at.append(now)
        elif observation.condition is Condition.FAILING:
            assert sent_at  # each failure has been alerted


def test_new_failures_come_first():
    due = [(("check", f"old{n}", ""), Action.REMINDER) for n in range(5)]
    due += [(("check", f"new{n}", ""), Action.ALERT) for n in range(20)]
    chosen = plan(due, [], max_per_day=0)
    assert [key[1] for key in chosen.to_send] == [f"new{n}" for n in range(20)] + [f"old{n}" for n in range(5)]


def test_the_daily_limit_suppresses_only_what_was_sent_today():
    keys = [("check", f"t{n}", "") for n in range(4)]
    chosen = plan([(key, Action.ALERT) for key in keys], [keys[0]] * 10, max_per_day=10)
    assert chosen.to_suppress == [keys[0]]
    assert chosen.to_send == keys[1:]


def test_the_document_names_the_limits_that_are_in_force():
    from healthchecks.plugin.configuration.settings import AlertSettings

    named = dict(re.findall(r"^(max_per_run|max_per_day) = (\d+)", DOCUMENT.read_text(), re.MULTILINE))
    assert {name: int(number) for name, number in named.items()} == {
        "max_per_run": AlertSettings().max_per_run,
        "max_per_day": AlertSettings().max_per_day,
    }
