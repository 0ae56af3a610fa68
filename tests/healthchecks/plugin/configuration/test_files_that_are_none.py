"""Pipes, devices and directories where a file should be: reported in words, and nothing waits for them."""

import json
import os
import subprocess
import sys
import time

import pytest

from servermonitoring.configuration import ConfigurationError
from servermonitoring.watchdog_state import Kill
from tests import ROOT
from tests.reliability import reliability
from watchdog import settings

CHECKS = """
    import pytest
    from pathlib import Path
    from healthchecks import Secret, Target, probe
    from healthchecks.clients.http.options import WebKeys

    class Shop(WebKeys, Target):
        password: Secret | None = None

    @probe
    def answer(shop: Shop) -> bool:
        return True

    def test_shop(shop, answer):
        assert answer
"""
PLACES = {"pipe": "is a named pipe", "/dev/zero": "is a device", "folder": "is a directory"}


@pytest.fixture
def shop(suite):
    suite.write("test_mine.py", CHECKS)
    os.mkfifo(suite.folder / "pipe")
    (suite.folder / "folder").mkdir()
    return suite


@reliability(
    "Configuration",
    fault="the configuration file is a pipe, a device or a directory",
    promise="status 4 and a text that says so, at once",
)
@pytest.mark.parametrize("place", PLACES)
def test_configuration(shop, place):
    outcome = shop.run("test_mine.py", "--monitoring-config", place)
    assert outcome.status == 4, outcome.output
    assert f"cannot be read: {PLACES[place]}, not a file" in outcome.output
    assert "INTERNALERROR" not in outcome.output


def test_configuration_of_the_watchdog(shop):
    for place, words in PLACES.items():
        with pytest.raises(ConfigurationError, match=words):
            settings.load(str(shop.folder / place))


@reliability(
    "Configuration",
    fault="the file of a secret is a pipe, a device, a directory or huge",
    promise="status 4 and a text that says so, at once",
)
@pytest.mark.parametrize("place", [*PLACES, "huge"])
def test_secret_file(shop, place):
    with (shop.folder / "huge").open("wb") as huge:
        huge.truncate(1 << 40)  # takes no room
    shop.configure(f"[shop.a]\nurl = 'http://127.0.0.1/'\npassword = 'file:{place}'\n")
    outcome = shop.run()
    assert outcome.status == 4, outcome.output
    words = PLACES.get(place, "is larger than")
    assert f"[shop.a] password: cannot read the secret file {shop.folder / place}: {words}" in outcome.output


@pytest.mark.parametrize("place", PLACES)
def test_authorities(shop, place):
    shop.configure(f"[shop.a]\nurl = 'https://127.0.0.1/'\nca = '{place}'\n")
    outcome = shop.run()
    assert outcome.status == 4, outcome.output
    assert f"{place} cannot be read: {PLACES[place]}, not a file" in outcome.output


@pytest.mark.parametrize(
    "table",
    ["[rabbitmq.a]\ntls = true\nca = 'pipe'", "[database.a]\nsslmode = 'verify-full'\nsslrootcert = 'pipe'"],
)
def test_authorities_of_backends(shop, table):
    shop.configure(table)
    outcome = shop.run()
    assert outcome.status == 4, outcome.output
    assert "pipe cannot be read: is a named pipe, not a file" in outcome.output


@pytest.fixture
def state(shop):
    shop.state.mkdir(parents=True, mode=0o700)
    return shop.state


def beat(state):
    values = {"pid": 1, "time": time.time(), "poll_interval": 60, "started": time.time()}
    (state / "watchdog.json").write_text(json.dumps(values))


@reliability(
    "Configuration",
    fault="the watchdog's list of kills is a pipe",
    promise="`watchdog status` and a run with [metrics] do not wait for it",
)
def test_kills_are_a_pipe(shop, state):
    beat(state)
    os.mkfifo(state / "kills.jsonl")
    assert watchdog_status(shop).startswith("The watchdog runs")
    assert "watchdog_kills_total{" not in metrics(shop)


@reliability(
    "Configuration",
    fault="the watchdog's heartbeat is a pipe",
    promise="`watchdog status` and a run with [metrics] do not wait for it",
)
def test_heartbeat_is_a_pipe(shop, state):
    os.mkfifo(state / "watchdog.json")
    assert watchdog_status(shop).startswith("No watchdog was ever started here")
    assert "watchdog_last_seen" not in metrics(shop)


@reliability(
    "Configuration",
    fault="the watchdog's list of kills has grown without bound",
    promise="its newest 20 MB are read, and no more",
)
def test_huge_list_of_kills_is_read_by_its_end(shop, state):
    """What is before the newest 20 MB is not read: here a hole of a terabyte."""
    beat(state)
    with (state / "kills.jsonl").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        kill = Kill(1.0, "firefox", "memory", "m", 1, "firefox", 0, 5, 1.0, None, "c")
        file.write(f"\n{json.dumps(kill._asdict())}\n".encode())
    assert 'watchdog_kills_total{rule="firefox",reason="memory"} 1.0' in metrics(shop)


def watchdog_status(shop):
    (shop.folder / "servermonitoring.toml").unlink(missing_ok=True)
    command = [sys.executable, "-c", "import sys; from watchdog.cli import main; sys.exit(main())", "status"]
    done = subprocess.run(
        command, cwd=shop.folder, env={**shop.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def metrics(shop):
    shop.configure("[shop.a]\nurl = 'http://127.0.0.1/'\n[metrics]\ntextfile = 'mine.prom'\n")
    outcome = shop.run()
    assert outcome.status == 0, outcome.output
    return (shop.folder / "mine.prom").read_text()
