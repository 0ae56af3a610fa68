"""[unit.NAME] against a real systemd, in namespaces of its own."""

import re

import pytest

from healthchecks.test_unit import Unit
from tests.healthchecks.metrics import metrics_of
from tests.reliability import reliability
from tests.servers.server import program
from tests.suite import ProjectSuite, table

UNITS = {
    "good.service": "[Service]\nExecStart=/bin/sleep 99999\n",
    "bad.service": "[Service]\nExecStart=/bin/sh -c 'exit 3'\n",
    "killed.service": "[Service]\nExecStart=/bin/sh -c 'kill -9 $$$$'\n",
    "flapping.service": "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=3600\n",
    "stopped.service": "[Service]\nExecStart=/bin/sleep 99999\n",
    "fine.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "fine.timer": "[Timer]\nOnActiveSec=0\n",
    "failing.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 7'\n",
    "failing.timer": "[Timer]\nOnActiveSec=0\n",
    "waiting.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "waiting.timer": "[Timer]\nOnActiveSec=99999\n",
}
FAILED = ("bad.service", "killed.service", "failing.service")


@pytest.fixture(scope="module")
def units(running_systemd):
    """A systemd with these units: started, failed, and run by their timers."""
    running_systemd.write(UNITS)
    running_systemd.run("systemctl mask --runtime masked.service")
    running_systemd.run("systemctl start good stopped bad killed flapping fine.timer failing.timer waiting.timer")
    running_systemd.run("systemctl stop stopped")
    running_systemd.until(" && ".join(f"systemctl is-failed {name}" for name in FAILED))
    running_systemd.until("systemctl show --property=SubState flapping | grep auto-restart")
    running_systemd.until("systemctl show --property=LastTriggerUSec fine.timer | grep 20")
    running_systemd.until("systemctl show --property=ActiveState fine.service | grep inactive")
    return running_systemd


STATES = {  # target: keys, and the message; empty if it passes
    "good": ({"unit": "good"}, ""),
    "several": ({"units": ["good.service", "basic.target", "waiting.timer"]}, ""),
    "fine": ({"unit": "fine.timer"}, ""),
    "waiting": ({"unit": "waiting.timer"}, ""),
    "off": ({"unit": "stopped", "state": "inactive"}, ""),
    "masked-off": ({"unit": "masked", "state": "inactive"}, ""),
    "task": ({"unit": "fine.service", "state": "not-failed"}, ""),
    "bad": ({"unit": "bad"}, r"bad\.service is failed \(exit-code, status 3\) for \d+ \w+.*"),
    "killed": ({"unit": "killed"}, r"killed\.service is failed \(signal, signal 9\) for \d+ .*"),
    "flapping": (
        {"unit": "flapping"},
        r"flapping\.service is activating \(auto-restart, exit-code, status 1\) for \d+ .*",
    ),
    "stopped": ({"unit": "stopped"}, r"stopped\.service is inactive \(dead\).*"),
    "on": (
        {"unit": "good", "state": "inactive"},
        r"good\.service is active \(running\) for \d+ .*, must be inactive",
    ),
    "failing": (
        {"unit": "failing.timer"},
        r"last run of failing\.service is failed \(exit-code, status 7\) for \d+ .*",
    ),
    "task-failed": (
        {"unit": "failing.service", "state": "not-failed"},
        r"failing\.service is failed \(exit-code, status 7\) for \d+ .*, must be not failed",
    ),
    "mixed": (
        {"units": ["good", "bad", "stopped"]},
        r"bad\.service is failed .*; stopped\.service is inactive \(dead\).*",
    ),
}
ERRORS = {
    "none": ("nothing", "nothing.service is unknown to systemd: it is not installed, or has another name"),
    "masked": ("masked", "masked.service is masked: systemctl status masked.service says more"),
}


@pytest.fixture(scope="module")
def outcome(units, tmp_path_factory):
    """All targets in one run."""
    toml = "".join(table("unit", name, **keys) for name, (keys, _) in STATES.items())
    toml += "".join(table("unit", name, unit=unit) for name, (unit, _) in ERRORS.items())
    suite = ProjectSuite(tmp_path_factory.mktemp("unit"), toml)
    suite.environment["PATH"] = units.path_with_systemctl
    return suite.run()


@pytest.mark.parametrize("name", STATES)
def test_state(outcome, name):
    words = STATES[name][1]
    entry = outcome.checks[f"unit_state[{name}]"]
    if words:
        assert entry["status"] == "failed", outcome.output
        assert re.fullmatch(words, entry["message"]), entry
    else:
        assert (entry["status"], entry["message"]) == ("ok", "")


@pytest.mark.parametrize("name", ERRORS)
def test_a_unit_that_cannot_be_checked_is_an_error(outcome, name):
    entry = outcome.checks[f"unit_state[{name}]"]
    assert (entry["status"], entry["message"]) == ("error", ERRORS[name][1])


def test_metrics(outcome):
    assert metrics_of(outcome, "unit_state[good]")["restarts"]["value"] == 0
    assert metrics_of(outcome, "unit_state[flapping]")["restarts"]["value"] <= 1


@reliability("Checks", fault="systemd does not run where units are checked", promise="the error says so")
def test_without_systemd(run_suite):
    """As on this machine, or in a container."""
    program("systemctl")
    outcome = run_suite(table("unit", "nginx", unit="nginx"))
    entry = outcome.checks["unit_state[nginx]"]
    if entry["status"] != "error":
        pytest.skip("this machine runs systemd")
    assert entry["message"].startswith("systemctl show: System has not been booted with systemd as init system")


def test_without_systemctl(run_suite, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = run_suite(table("unit", "nginx", unit="nginx"))
    entry = outcome.checks["unit_state[nginx]"]
    assert (entry["status"], entry["message"]) == ("error", "systemctl is not on the PATH: this check needs systemd")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, 'write unit = "nginx.service", or units'),
        ({"unit": "a", "units": ["b"]}, 'write unit = "nginx.service", or units'),
        ({"unit": ""}, "at least 1 character"),
        ({"unit": "--all"}, "is not the name of a unit"),
        ({"unit": "a b"}, "is not the name of a unit"),
        ({"unit": "nginx*"}, "is not the name of a unit"),
        ({"unit": "/etc/passwd"}, "is not the name of a unit"),
        ({"units": ["a"] * 51}, "at most 50"),
        ({"unit": "a", "state": "running"}, "'active', 'inactive' or 'not-failed'"),
    ],
)
def test_wrong_keys(keys, words):
    with pytest.raises(ValueError, match=words):
        Unit(**keys)


def test_types_of_units():
    assert Unit(units=("a", "b.timer", "c@1", "d.e")).names == ("a.service", "b.timer", "c@1.service", "d.e.service")
