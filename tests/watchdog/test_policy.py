"""Policy, with plain values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchdog.policy import DEFAULT, Facts, Reason, Rule, due_at, find_violation, pause
from watchdog.settings import rules_of

YOUNG = Facts(started_at=1000, memory=500_000_000, validated_at=None)


@pytest.mark.parametrize(
    ("facts", "now", "reason"),
    [
        (YOUNG, 1179.9, None),
        (YOUNG, 1180, Reason.NEVER_VALIDATED),
        (YOUNG._replace(validated_at=1170), 1349.9, None),
        (YOUNG._replace(validated_at=1170), 1350, Reason.SILENT),
        (YOUNG._replace(memory=1_200_000_000), 1010, None),
        (YOUNG._replace(memory=1_200_000_001), 1010, Reason.MEMORY),
        (YOUNG._replace(excused_until=1100), 1279.9, None),
        (YOUNG._replace(excused_until=1100), 1280, Reason.NEVER_VALIDATED),
    ],
)
def test_default_rule(facts, now, reason):
    """The mission's numbers: 1.2 GB, 180 s, 180 s."""
    found = find_violation(facts, DEFAULT, now)
    assert (found and found.reason) == reason


def test_limits_that_are_none():
    rule = Rule(max_memory=None, validated_within=None, revalidated_every=None)
    assert find_violation(Facts(0, 10**15, None), rule, 1e9) is None
    assert find_violation(Facts(0, 10**15, 1), rule, 1e9) is None


def test_messages_have_value_and_limit():
    assert find_violation(YOUNG, DEFAULT, 1185).message == "never validated, started 3 min 5 s ago, maximum 3 min"
    silent = YOUNG._replace(validated_at=1000)
    assert find_violation(silent, DEFAULT, 1240).message == "last validated 4 min ago, maximum 3 min"
    large = YOUNG._replace(memory=1_300_000_000)
    assert find_violation(large, DEFAULT, 1001).message == "1.3 GB of memory used, maximum 1.2 GB"


@given(
    st.floats(0, 1e6),
    st.integers(0, 10**10),
    st.none() | st.floats(0, 1e6),
    st.floats(0, 1e7),
    st.floats(0.1, 60),
)
def test_a_pause_never_sleeps_through_a_limit(started, memory, validated, now, longest):
    facts = Facts(started, memory, validated)
    seconds = pause([(facts, DEFAULT)], now, longest)
    assert 0 < seconds <= longest
    due = due_at(facts, DEFAULT)
    assert now + seconds <= max(due, now + 0.02) + 1e-6
    assert seconds * 500e6 <= max(0.02 * 500e6, DEFAULT.max_memory - memory)


@pytest.mark.parametrize("name", ["firefox", "firefox-esr", "firefox-bin"])
def test_names_of_firefox(name):
    assert DEFAULT.names(name)


@pytest.mark.parametrize("name", ["chromedriver", "firefox.sh", "firefoxy", "my-firefox", "geckodriver"])
def test_other_names(name):
    assert not DEFAULT.names(name)
    assert not Rule(process="chrome").names(name)


def test_automated_only():
    rule = Rule(automated_only=True)
    assert not rule.matches(0, ["firefox", "https://example.com/--headless"])
    for argument in ("--headless", "-headless", "--marionette", "--remote-debugging-port=0"):
        assert rule.matches(0, ["firefox", argument])


def test_rules_and_the_keys_of_the_suites_check():
    problems = []
    tables = {
        "watchdog": {
            "max_kills_per_hour": 3, "needs": [], "failure_threshold": "x", "success_threshold": 2,
            "runbook": "restart it",
            "one": {"process": "chromium", "max_memory": "2GiB", "grace": 0, "user": "root"},
            "two": {"revalidated_every": False},
        }
    }  # fmt: skip
    one, two = rules_of(tables, problems)
    assert problems == []
    assert (one.max_memory, one.user, one.grace, one.names("chromium")) == (2 * 2**30, 0, 0, True)
    assert (two.process, two.revalidated_every, two.validated_within) == ("firefox", None, 180)
    assert rules_of({"watchdog": {"max_kills_per_hour": 3}}, problems) == [DEFAULT]
    assert rules_of({}, problems) == [DEFAULT]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"max_memroy": "1GB"},
            "[watchdog.a] max_memroy: unknown key (value '1GB'); did you mean \"max_memory\"?",
        ),
        ({"max_memory": "1QB"}, "[watchdog.a] max_memory: '1QB' is not a size"),
        ({"max_memory": 0}, "0 would kill every browser: write false for no limit"),
        ({"validated_within": "soon"}, "[watchdog.a] validated_within: 'soon' is not a duration"),
        ({"process": "("}, "[watchdog.a] process: '(' is not a regular expression"),
        ({"automated_only": "yes"}, "'yes' is not true or false"),
        ({"user": "nobdy"}, "this machine has no user 'nobdy'; did you mean \"nobody\"?"),
    ],
)
def test_errors_have_table_key_and_value(content, message):
    problems = []
    rules_of({"watchdog": {"a": content}}, problems)
    assert len(problems) == 1
    assert message in str(problems[0])
