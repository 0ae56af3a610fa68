"""The policy, row by row of the table that docs/alerts.md shows to users."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchecks.plugin.alerting.policy import Action, Memory, Observation, Seen, decide, kept_back, plan
from tests import ROOT

DOCUMENT = ROOT / "docs" / "alerts.md"
HOUR = 3600.0
START = 1_800_000_000.0  # when the first alert was sent
KEY = ("website_access", "home", "")

REMEMBERED = {
    "nothing": None,
    "1 failure, not told": Memory(START, "", failures=1),
    "2 failures, not told": Memory(START, "", failures=2),
    "failing in maintenance, now over": Memory(START, "", failures=9, suppressed=9),
    "told": Memory(START, "", 1, 0, START, 0, frozenset({"failed ProbeTimeout", "failed OSError"})),
    "told, 1 pass since": Memory(START, "", 1, 1, START, 0, frozenset({"failed ProbeTimeout", "failed OSError"})),
    "told, reminded after 1 hour": Memory(START, "", 7, 0, START, 1, frozenset({"failed ProbeTimeout"})),
    "told, reminded after 6 hours": Memory(START, "", 37, 0, START, 2, frozenset({"failed ProbeTimeout"})),
    "told, by a clock that was set back since": Memory(
        START, "", 1, 0, START + 9 * HOUR, 0, frozenset({"failed ProbeTimeout"})
    ),
    "told, reminded by a clock that was years ahead": Memory(
        START, "", 7, 0, START, 1800, frozenset({"failed ProbeTimeout"})
    ),
}
SEEN = {
    "well": Observation(KEY, Seen.WELL),
    "well, `success_threshold = 2`": Observation(KEY, Seen.WELL, success_threshold=2),
    "well, `success_threshold = 3`": Observation(KEY, Seen.WELL, success_threshold=3),
    "failing": Observation(KEY, Seen.FAILING, "failed ProbeTimeout"),
    "failing, `failure_threshold = 1`": Observation(KEY, Seen.FAILING, "failed ProbeTimeout"),
    "failing, `failure_threshold = 3`": Observation(KEY, Seen.FAILING, "failed ProbeTimeout", failure_threshold=3),
    "failing, in maintenance": Observation(KEY, Seen.FAILING, "failed ProbeTimeout", muted=True),
    "failing in a way that was not told": Observation(KEY, Seen.FAILING, "failed AssertionError"),
    "failing in a way that was told before": Observation(KEY, Seen.FAILING, "failed OSError"),
    "blocked or skipped": Observation(KEY, Seen.UNKNOWN),
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
def test_the_table_is_what_happens(row):
    remembered, seen, when, action = row
    for elapsed in WHEN[when]:
        assert decide(REMEMBERED[remembered], SEEN[seen], START + elapsed)[0] == Action(action), elapsed


def test_the_table_tells_of_every_state_and_every_action():
    assert {row[0] for row in rows()} == set(REMEMBERED)
    assert {row[1] for row in rows()} == set(SEEN)
    assert {row[3] for row in rows()} == {str(action) for action in Action}
    assert all(f"**{action}**" in DOCUMENT.read_text() for action in Action if action.is_sent)


def course(moments, seen=SEEN["failing"], memory=None):
    """The actions of runs at these moments, and what is remembered in the end."""
    actions = []
    for moment in moments:
        action, memory = decide(memory, seen, moment)
        actions.append(action)
    return actions, memory


def test_a_day_of_runs_each_ten_minutes_sends_an_alert_and_two_reminders():
    moments = [START + 600 * number for number in range(144)]
    actions, memory = course(moments)
    sent = {(moment - START) / HOUR: action for moment, action in zip(moments, actions, strict=True) if action.is_sent}
    assert sent == {0: Action.ALERT, 1: Action.REMINDER, 6: Action.REMINDER}
    assert memory.failures == 144
    assert memory.suppressed == 144 - 36 - 1  # since the reminder at 6 h, the 37th run


def test_the_first_alert_says_since_when_it_fails():
    actions, memory = course([START, START + 600, START + 1200], SEEN["failing, `failure_threshold = 3`"])
    assert actions == [Action.WAIT, Action.WAIT, Action.ALERT]
    assert (memory.since, memory.told) == (START, START + 1200)


def test_ways_of_failing_that_take_turns_are_told_once_each():
    memory, sent = None, []
    for number in range(12):
        kind = "failed ProbeTimeout" if number % 2 else "failed OSError"
        action, memory = decide(memory, Observation(KEY, Seen.FAILING, kind), START + number * 60)
        sent.append(action)
    assert [action for action in sent if action.is_sent] == [Action.ALERT, Action.CHANGED]


def test_what_is_well_is_forgotten():
    assert decide(REMEMBERED["told"], SEEN["well"], START)[1] is None


def test_a_recovery_takes_so_many_passing_runs_in_a_row():
    well, failing, unknown = SEEN["well, `success_threshold = 3`"], SEEN["failing"], SEEN["blocked or skipped"]
    runs = [failing, well, well, failing, well, unknown, well, well, failing]
    memory, actions = None, []
    for number, seen in enumerate(runs):
        action, memory = decide(memory, seen, START + 60 * number)
        actions.append(action)
    assert actions == [
        Action.ALERT, Action.RECOVERING, Action.RECOVERING, Action.QUIET, Action.RECOVERING, Action.NONE,
        Action.RECOVERING, Action.RECOVERED, Action.ALERT,
    ]  # fmt: skip
    assert (memory.failures, memory.successes, memory.since) == (1, 0, START + 480)


def test_the_same_failure_goes_on_while_it_has_not_recovered():
    _, memory = decide(REMEMBERED["told"], SEEN["well, `success_threshold = 2`"], START + 600)
    assert (memory.failures, memory.successes, memory.told, memory.suppressed) == (1, 1, START, 0)
    action, memory = decide(memory, SEEN["failing"], START + 1200)
    assert action is Action.QUIET
    assert (memory.failures, memory.successes, memory.since, memory.suppressed) == (2, 0, START, 1)


@given(
    threshold=st.integers(1, 4),
    passes=st.lists(st.booleans(), min_size=1, max_size=60),
)
def test_recovered_is_said_after_exactly_so_many_passing_runs_in_a_row(threshold, passes):
    memory, in_a_row, alerted = None, 0, False
    for number, is_well in enumerate(passes):
        in_a_row = in_a_row + 1 if is_well else 0
        seen = Observation(KEY, Seen.WELL if is_well else Seen.FAILING, "failed OSError", 1, threshold)
        action, memory = decide(memory, seen, START + number)
        if is_well:
            over = in_a_row >= threshold
            assert action is (Action.NONE if not alerted else Action.RECOVERED if over else Action.RECOVERING)
            alerted = alerted and not over
        else:
            assert action is (Action.QUIET if alerted else Action.ALERT)
            alerted = True


def test_what_is_unknown_is_remembered_as_it_was():
    memory = REMEMBERED["told, reminded after 1 hour"]
    assert decide(memory, SEEN["blocked or skipped"], START + 100 * HOUR)[1] == memory


@pytest.mark.parametrize(
    "remembered", ["told, by a clock that was set back since", "told, reminded by a clock that was years ahead"]
)
def test_a_clock_that_was_wrong_does_not_silence_reminders(remembered):
    memory = REMEMBERED[remembered]
    actions, _ = course([START, START + HOUR / 2, START + HOUR], memory=memory)
    assert actions == [Action.QUIET, Action.QUIET, Action.REMINDER]


def test_an_event_that_is_kept_back_stays_due():
    before = REMEMBERED["told"]
    action, memory = decide(before, SEEN["failing"], START + HOUR)
    assert action is Action.REMINDER
    assert decide(kept_back(before, memory), SEEN["failing"], START + HOUR + 600)[0] is Action.REMINDER
    action, memory = decide(None, SEEN["failing"], START)
    assert decide(kept_back(None, memory), SEEN["failing"], START + 600)[0] is Action.ALERT


@given(
    gaps=st.lists(st.floats(1, 40 * HOUR), min_size=1, max_size=60),
    statuses=st.lists(st.sampled_from([SEEN["well"], SEEN["failing"], SEEN["blocked or skipped"]]), min_size=60),
)
def test_every_failure_is_told_once_and_no_reminder_comes_too_often(gaps, statuses):
    now, memory, told = START, None, []
    for gap, seen in zip(gaps, statuses, strict=False):
        now += gap
        action, memory = decide(memory, seen, now)
        if seen.seen is Seen.WELL:
            told = []
        elif action.is_sent:
            assert action is (Action.REMINDER if told else Action.ALERT)
            assert not told or now - told[0] >= HOUR
            assert len(told) < 2 or now - told[0] >= 6 * HOUR
            assert len(told) < 3 or now - told[-1] > 0
            told.append(now)
        elif seen.seen is Seen.FAILING:
            assert told  # never silent about a failure that nobody was told of


def test_a_storm_is_told_in_a_summary_new_failures_first():
    due = [(("check", f"old{n}", ""), Action.REMINDER) for n in range(5)]
    due += [(("check", f"new{n}", ""), Action.ALERT) for n in range(20)]
    chosen = plan(due, [], max_per_run=20, max_per_day=0)
    assert [key[1] for key in chosen.sent] == [f"new{n}" for n in range(20)]
    assert [key[1] for key in chosen.summarized] == [f"old{n}" for n in range(5)]
    assert len(plan(due, [], max_per_run=0, max_per_day=0).sent) == 25


def test_the_limit_of_the_day_keeps_back_only_what_was_told_today():
    keys = [("check", f"t{n}", "") for n in range(4)]
    chosen = plan([(key, Action.ALERT) for key in keys], [keys[0]] * 10, max_per_run=20, max_per_day=10)
    assert chosen.kept_back == [keys[0]]
    assert chosen.sent == keys[1:]


def test_the_document_names_the_limits_that_are_in_force():
    from healthchecks.plugin.configuration.settings import AlertSettings

    named = dict(re.findall(r"^(max_per_run|max_per_day) = (\d+)", DOCUMENT.read_text(), re.MULTILINE))
    assert {name: int(number) for name, number in named.items()} == {
        "max_per_run": AlertSettings().max_per_run,
        "max_per_day": AlertSettings().max_per_day,
    }
