"""The state of the alerts is a file of its own: whatever happens to it, alerting goes on."""

import contextlib
import json
import os
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchecks.plugin.alerting import state as alert_state
from healthchecks.plugin.alerting.decision import AlertSelection, Decider
from healthchecks.plugin.alerting.policy import Action, Incident
from healthchecks.plugin.alerting.state import AlertState, decoded, encoded, state_of
from healthchecks.plugin.alerting.store import NAME, OLDER, StateFile
from healthchecks.plugin.result import Status
from tests.healthchecks.plugin.alerting.test_alerting import START, Runs, line, result
from tests.reliability import reliability

KEY = ("website_access", "home", "")


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


def actions(decided):
    return [(alert.key[1], alert.action) for alert in decided]


def of_earlier_version(directory: Path) -> None:
    """A history with alerts in it, as an earlier version wrote it."""
    with closing(sqlite3.connect(directory / "history.sqlite")) as database:
        database.executescript((Path(__file__).parent / "history_with_alerts.sql").read_text())


@reliability("Alerts", fault="the suite is upgraded", promise="nobody is alerted twice of what was alerted before")
def test_what_was_alerted_is_migrated_from_the_history(tmp_path):
    """a: alerted and reminded; b: in its 8th failure of 20; c: a message of its own; d: passing, issue unresolved."""
    of_earlier_version(tmp_path)
    runs = Runs(tmp_path)
    runs.now = START + timedelta(minutes=90)
    message = line("the backlog is long", is_message=True)
    failing = result("a"), result("b", failure_threshold=20), result("c", Status.OK, "", log=[message])
    assert runs.run(*failing) == []
    state = StateFile(tmp_path).read().state
    assert state.incidents["website_access", "b", ""].failures == 9
    assert list(state.resolutions) == ["c0d477709bda58dd8ddb6df930df240c"]
    assert len(state.events) == 5
    (tmp_path / "history.sqlite").unlink()
    assert runs.run(*failing) == []
    assert [alert.key[1] for alert in runs.run(*failing, result("d"))] == ["d"]


def test_it_is_private_and_has_a_copy_of_the_one_before(runs, tmp_path):
    for _ in range(3):
        runs.run(result())
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, OLDER]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert [decoded((tmp_path / name).read_bytes()).incidents[KEY].failures for name in (NAME, OLDER)] == [3, 2]


@reliability("Alerts", fault="the disk is full", promise="what was alerted before and meanwhile is not alerted again")
def test_a_full_disk_repeats_no_alert(small_disk):
    runs = Runs(small_disk)
    assert len(runs.run(result())) == 1
    with contextlib.suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    assert len(runs.run(*(result(f"new{number}") for number in range(20)))) == 20
    for _ in range(2):
        assert runs.run(result(), *(result(f"new{number}") for number in range(20))) == []
    (small_disk / "fill").unlink()
    assert runs.run(result(), *(result(f"new{number}") for number in range(20))) == []
    assert {path.name for path in small_disk.iterdir()} == {NAME, OLDER}
    assert StateFile(small_disk).read().state.incidents["website_access", "new7", ""].failures == 4


def survives(directory: Path, content: bytes, *, copy: bytes | None) -> None:
    """With this content in its place: the copy is used, else all is alerted; either way there is an error."""
    (directory / NAME).write_bytes(content)
    (directory / OLDER).unlink(missing_ok=True)
    if copy is not None:
        (directory / OLDER).write_bytes(copy)
    reading = StateFile(directory).read()
    assert reading.error
    assert (reading.state is None) == (copy is None)
    now = START + timedelta(minutes=30)
    alerts = Decider(AlertSelection(), "web1", reading.state, now).decide([result(), result("new")]).alerts
    assert actions(alerts) == [
        *([] if copy else [("home", Action.ALERT)]),
        ("new", Action.ALERT),
    ]


@reliability(
    "Alerts",
    fault="any bit of the file of what was alerted is flipped, or it ends anywhere",
    promise="its older copy is read, else all that fails is alerted; it is said once",
)
@pytest.mark.parametrize("has_copy", [True, False])
def test_each_byte_of_it_may_be_damaged(runs, tmp_path, has_copy):
    for _ in range(2):
        runs.run(result())
    whole, copy = (tmp_path / NAME).read_bytes().rstrip(), (tmp_path / OLDER).read_bytes() if has_copy else None
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        survives(tmp_path, bytes(flipped), copy=copy)
        survives(tmp_path, whole[:place], copy=copy)


@given(content=st.binary(max_size=200))
def test_rubbish_is_no_state(tmp_path_factory, content):
    directory = tmp_path_factory.mktemp("state")
    survives(directory, content, copy=None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("key", "last_seen", "since", "episode", "failures", "alerted_at", "reminders", "kinds", "suppressed", "event")


@given(
    field=st.sampled_from([*FIELDS, "id", "saves", "events", "resolutions", "incidents"]),
    value=JSON | st.floats(allow_nan=True) | st.integers(10**20, 10**400),
)
def test_values_of_any_type_under_a_right_checksum_are_refused_or_harmless(tmp_path_factory, field, value):
    """As another program, or a fault of a later version, could write them."""
    state = AlertState(incidents={KEY: Incident(START.timestamp(), "x", 1, 0, START.timestamp())}, last_seen={KEY: 1.0})
    document = json.loads(encoded(state))
    (document["state"]["incidents"][0] if field in FIELDS else document["state"])[field] = value
    document["sha256"] = alert_state._digest(document["state"])
    directory = tmp_path_factory.mktemp("state")
    (directory / NAME).write_text(json.dumps(document))
    read = StateFile(directory).read().state
    decided = Decider(AlertSelection(), "web1", read, START + timedelta(minutes=30)).decide([result(), result("new")])
    assert ("new", Action.ALERT) in actions(decided.alerts)
    assert not read or read.incidents.get(KEY) or field in {"key", "incidents"}


def as_directory(path):
    path.unlink()
    (path / "within").mkdir(parents=True)


def as_fifo(path):
    path.unlink()
    os.mkfifo(path)


def as_link_to_a_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def as_huge(path):
    with path.open("wb") as file:
        file.truncate(10**12)


def as_of_a_newer_version(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))


ODD = [as_directory, as_fifo, as_link_to_a_device, as_huge, as_of_a_newer_version]


@reliability(
    "Alerts",
    fault="the file of what was alerted is a directory, a FIFO, a device, huge, or of a newer version",
    promise="alerting goes on, and the next run finds a file in order",
)
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.__name__)
def test_whatever_is_in_its_place(runs, tmp_path, odd):
    for _ in range(2):
        runs.run(result())
    odd(tmp_path / NAME)
    assert "the copy before it is used" in StateFile(tmp_path).read().error
    assert actions(runs.run(result(), result("new"))) == [("new", Action.ALERT)]
    assert StateFile(tmp_path).read().error == ""
    odd(tmp_path / NAME)
    odd(tmp_path / OLDER)
    assert {action for _, action in actions(runs.run(result(failure_threshold=9), result("new")))} == {Action.ALERT}
    assert StateFile(tmp_path).read().error == ""
    assert runs.run(result(), result("new")) == []


def test_a_run_that_is_killed_between_its_two_files_leaves_the_older_one(runs, tmp_path):
    runs.run(result())
    (tmp_path / NAME).rename(tmp_path / OLDER)
    assert StateFile(tmp_path).read().error == ""
    assert runs.run(result()) == []


@reliability(
    "Alerts", fault="the clock is five years ahead for one run", promise="reminders go on by the true time afterwards"
)
def test_a_clock_that_was_years_ahead_suppresses_no_reminder(runs):
    runs.run(result(), result("other", Status.OK, ""))
    runs.now += timedelta(days=5 * 365)
    runs.run(result(), result("other"))
    runs.now = START + timedelta(minutes=20)
    assert runs.run(result(), result("other")) == []
    runs.now = START + timedelta(hours=7)
    assert [action for _, action in actions(runs.run(result(), result("other")))] == [Action.REMINDER] * 2


def test_a_clock_that_was_years_ahead_does_not_use_up_the_day(tmp_path):
    runs = Runs(tmp_path, AlertSelection(max_per_day=3))
    runs.now += timedelta(days=5 * 365)
    runs.run(result("a"), result("b"), result("c"))
    runs.now = START
    runs.run(*(result(name, Status.OK, "") for name in "abc"))
    assert len(runs.run(result("a"), result("b"), result("c"))) == 3


@reliability("Alerts", fault="an alert could not even be put into the spool", promise="it is due again in the next run")
def test_an_alert_that_never_left_is_due_again(runs):
    assert actions(runs.run(result("a"), result("b"), lost=["a"])) == [("a", Action.ALERT), ("b", Action.ALERT)]
    (again,) = runs.run(result("a"), result("b"))
    assert (again.key[1], again.action, again.failures, again.since) == ("a", Action.ALERT, 2, START)
    assert again.id == runs.alerts[0].id, "the server drops the second of two, if the first did arrive"
    assert runs.run(result("a"), result("b")) == []


def test_all_that_a_lost_summary_named_is_due_again(tmp_path):
    runs = Runs(tmp_path, AlertSelection(max_per_run=1))
    assert [alert.key[1] for alert in runs.run(result("a"), result("b"), result("c"), lost=["alerts"])] == [
        "a",
        "alerts",
    ]
    assert [alert.message for alert in runs.run(result("a"), result("b"), result("c"))][1:] == [
        "1 more check is failing: website[c]"
    ]


PASSING = {"status": Status.OK, "message": ""}


@reliability(
    "Alerts", fault="a recovery could not even be put into the spool", promise="it is due again in the next run"
)
def test_a_recovery_that_never_left_is_due_again(runs):
    runs.run(result("a"), result("b", success_threshold=2))
    runs.run(result("b", **PASSING, success_threshold=2))
    both = result("a", **PASSING), result("b", **PASSING, success_threshold=2)
    sent = [(each, Action.RECOVERED) for each in "ab"]
    assert actions(runs.run(*both, lost=["a", "b"])) == sent
    again = runs.run(*both)
    assert actions(again) == sent
    assert [each.since for each in again] == [START, START]
    assert runs.run(*both) == []


def test_a_recovery_that_never_left_is_none_when_the_check_fails_again(runs):
    """People know it as failing, and it is."""
    runs.run(result())
    runs.run(result(**PASSING), lost=["home"])
    assert runs.run(result()) == []


def test_all_that_a_lost_summary_of_recoveries_named_is_due_again(tmp_path):
    runs = Runs(tmp_path, AlertSelection(max_per_run=1))
    runs.run(result("a"), result("b"), result("c"))
    passing = [result(name, **PASSING) for name in "abc"]
    assert [each.key[1] for each in runs.run(*passing, lost=["alerts"])] == ["a", "alerts"]
    assert [each.title for each in runs.run(*passing)] == [
        "website[b] recovered after 20 min", "suite[alerts]: 1 more check recovered: website[c]",
    ]  # fmt: skip
    assert runs.run(*passing) == []


def test_a_killed_run_repeats_a_recovery_under_the_same_id(runs):
    runs.run(result())
    first = runs.run(result(**PASSING), is_killed=True)
    assert [each.id for each in runs.run(result(**PASSING))] == [each.id for each in first]


def test_two_at_once_lose_nothing_of_each_other(tmp_path):
    """Runs of reports and of checks may overlap."""

    def store(number):
        incident = {("report", str(number), ""): Incident(START.timestamp(), "")}
        StateFile(tmp_path).change(lambda state: state.change(incident, [], START.timestamp()))

    threads = [threading.Thread(target=store, args=[number]) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(StateFile(tmp_path).read().state.incidents) == 8


def test_it_does_not_grow_for_ever(monkeypatch):
    state, now = AlertState(), START.timestamp()
    for number in range(12):
        keys = [("check", f"{number}-{each}", "") for each in range(1000)]
        state.change({key: Incident(now, "") for key in keys}, keys, now + number)
    assert (len(state.incidents), len(state.events)) == (10_000, 10_000)
    monkeypatch.setattr(alert_state, "MOST_BYTES", 1_000_000)
    kept = decoded(encoded(state).encode())
    assert 0 < len(kept.incidents) < 10_000
    assert ("check", "11-999", "") in kept.incidents, "what was seen last stays"
    state.change({}, [], now + 500 * 86400)
    assert (state.incidents, state.events) == ({}, [])


def test_what_is_written_is_what_is_read():
    incident = Incident(1.5, "a/1", 3, 1, 2.5, 1, frozenset({"failed \udcff", "ü"}), 2, "id")
    state = AlertState(incidents={KEY: incident}, last_seen={KEY: 3.0}, events=[(2.5, KEY)], resolutions={"id": 4.0})
    assert decoded(encoded(state).encode()) == state
    assert state_of(json.loads(encoded(state))["state"]) == state
