"""[watchdog], on the state that the watchdog itself writes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from servermonitoring.watchdog_state import Heartbeat, Kill, heartbeat, record_kill, write_heartbeat
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.servers.server import until

CHECK = "watchdog[]"
START = "import sys; from watchdog.cli import main; sys.exit(main())"  # what the installed command does
RULES = "[watchdog.firefox]\nmax_memory = '1.2GB'\n"
KILL = Kill(
    time=0.0, rule="firefox", reason="memory", message="1.3 GB, at most 1.2 GB", pid=1, name="firefox", user=0,
    memory=1_300_000_000, age=60.0, validated=None, command="firefox",
)  # fmt: skip


@pytest.fixture
def state(tmp_path):
    """The state directory of the run."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


def beat(state, *, ago=0.0, poll_interval=1.0, **keys):
    write_heartbeat(state, Heartbeat(os.getpid(), time.time() - ago, poll_interval, time.time() - 1000, **keys))


def test_metrics(run_suite, state):
    """The browsers of the last scan, with the limit of the heaviest; those of a watchdog that is gone are unknown."""
    beat(state, browsers=3, heaviest=900_000_000, heaviest_limit=1_200_000_000)
    found = metrics_of(run_suite("[watchdog]\n"), CHECK)
    assert found == {
        "kills": {"value": 0, "unit": "none", "limit": 6, "lower_limit": None},
        "browsers": {"value": 3, "unit": "none", "limit": None, "lower_limit": None},
        "heaviest": {"value": 900_000_000, "unit": "bytes", "limit": 1_200_000_000, "lower_limit": None},
    }
    beat(state, ago=12 * 60, browsers=3)
    assert [*metrics_of(run_suite("[watchdog]\n"), CHECK)] == ["kills"]


def test_silent(run_suite, state):
    """A watchdog that died without a word is noticed."""
    beat(state, ago=12 * 60)
    outcome = run_suite("[watchdog]\n")
    assert outcome.status == 1
    assert outcome.message(CHECK).startswith("no heartbeat of the watchdog for 12 min")


def test_kills_too_often(run_suite, state):
    """Only those of the last hour count; the message says why the last one was killed."""
    beat(state)
    for minutes in (90, 80, 50, 10, 1):
        record_kill(state, KILL._replace(time=time.time() - 60 * minutes))
    outcome = run_suite("[watchdog]\nmax_kills_per_hour = 2\n")
    assert metrics_of(outcome, CHECK)["kills"] == {"value": 3, "unit": "none", "limit": 2, "lower_limit": None}
    assert outcome.status == 1
    assert outcome.message(CHECK) == ("3 browsers killed within an hour, maximum 2; last: 1.3 GB, at most 1.2 GB")
    outcome = run_suite("[watchdog]\nmax_kills_per_hour = 3\n")
    assert outcome.status == 0
    assert_agrees(outcome, CHECK, "kills")


def test_kills_are_a_pipe(run_suite, state):
    """The check waits for no writer, and goes by the heartbeat alone."""
    beat(state)
    os.mkfifo(state / "kills.jsonl")
    outcome = run_suite("[watchdog]\nmax_kills_per_hour = 0\n")
    assert outcome.status == 0, outcome.output
    assert outcome.checks[CHECK]["status"] == "ok"


def test_heartbeat_is_a_pipe(run_suite, state):
    """The same as none: nothing waits for it."""
    os.mkfifo(state / "watchdog.json")
    outcome = run_suite("[watchdog]\n", "healthchecks/test_watchdog.py", "-rs")
    assert outcome.status == 0, outcome.output
    assert outcome.checks[CHECK]["status"] == "skipped"


def test_never_started(run_suite):
    """Many machines have none: nothing fails, and the reason is shown."""
    outcome = run_suite("[watchdog]\n", "healthchecks/test_watchdog.py", "-rs")
    assert outcome.status == 0, outcome.output
    assert outcome.checks[CHECK]["status"] == "skipped"
    assert "no watchdog was ever started here" in outcome.output


def test_unknown_key(run_suite):
    """The rules are not the check's keys; all else has to be."""
    outcome = run_suite(f"[watchdog]\nmax_kils_per_hour = 3\n{RULES}")
    assert outcome.status == 4
    assert "max_kills_per_hour" in outcome.output


def test_real_watchdog(run_suite, state, tmp_path):
    """Well while it runs, rules and all."""
    configuration = tmp_path / "watchdog.toml"
    configuration.write_text(f"{RULES}process = 'none of this name'\n[state]\ndirectory = '{state}'\n")
    process = subprocess.Popen([sys.executable, "-c", START, "watch", "--config", str(configuration)])
    try:
        until(lambda: heartbeat(state), what="first heartbeat")
        outcome = run_suite(RULES)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert outcome.status == 0, outcome.output
    assert outcome.checks[CHECK]["status"] == "ok"
