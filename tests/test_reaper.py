"""Whichever way a run of the tests ends, nothing of it is left."""

import contextlib
import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.reaper import remove_abandoned
from tests.servers.server import program, until

SLEEP = f"sleep 6{os.getpid()}"  # as no other process does
DAEMONS = f"(setsid {SLEEP} &) ; setsid sh -c '{SLEEP}; true' & "
WAITS = "while :; do sleep 0.1; done"


@pytest.fixture
def start():
    """Starts a script under a reaper, and returns it when the script has said a word."""
    started = []

    def start(script, *words):
        command = [*words, sys.executable, "-m", "tests.reaper", program("sh"), "-c", script]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "here\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def daemons():
    """The processes that sleep."""
    return [each for each in psutil.process_iter() if " ".join(_command(each)) == SLEEP]


def _command(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def test_daemons_are_killed_when_the_tests_end(start):
    process = start(f"{DAEMONS} echo here; read line; exit 3")
    until(lambda: len(daemons()) == 2, what="two daemons")
    _, said = process.communicate("\n", timeout=60)
    assert (process.returncode, said) == (3, "killed what the tests have left running: sh, sleep\n")
    assert daemons() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_the_tests(start, number):
    process = start(f"trap 'exit 7' INT; echo here; {WAITS}")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (7, "")


def test_nohup_stays_in_force(start):
    process = start("echo here; read line; exit 3", program("nohup"))
    process.send_signal(signal.SIGHUP)
    process.communicate("\n", timeout=60)
    assert process.returncode == 3


def test_a_second_signal_kills_them(start):
    process = start(f"trap '' INT; {DAEMONS} echo here; {WAITS}")
    until(lambda: len(daemons()) == 2, what="two daemons")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGKILL
    assert daemons() == []


def test_a_reaper_that_is_killed_interrupts_the_tests(start):
    process = start(f"trap 'echo interrupted; exit' INT; echo here; {WAITS}")
    process.kill()
    assert process.stdout.read() == "interrupted\n"


def test_directories_of_killed_runs_are_removed_after_a_day(tmp_path):
    """Not those that a process uses, as its own or as an argument, and none of anybody else."""
    paths = [tmp_path / f"servermonitoring-{name}" for name in ("test-a", "test-b", "machine-c", "test-d", "other-e")]
    for path in paths:
        (path / "full").mkdir(parents=True)
        os.utime(path, times=(0, 0))
    (tmp_path / "servermonitoring-tests-young").mkdir()
    (tmp_path / "servermonitoring-test-f").symlink_to(tmp_path / "outside")
    with (
        subprocess.Popen(["sleep", "600"], cwd=paths[0]) as inside,
        subprocess.Popen([sys.executable, "-ISc", "input()", paths[1] / "full"], stdin=subprocess.PIPE) as named,
    ):
        remove_abandoned(tmp_path)
        for each in (inside, named):
            each.kill()
    left = {path.name.removeprefix("servermonitoring-") for path in tmp_path.iterdir()}
    assert left == {"test-a", "test-b", "other-e", "tests-young", "test-f"}
