"""[host], checked on this machine: limits that no machine meets, and limits that each does."""

import os

import psutil
import pytest

from healthchecks import test_host as checks
from healthchecks.test_host import Host, Vitals
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability

GENEROUS = "[host]\nmin_memory_available = 0\nmax_swap_used = '100%'\nmax_load_per_core = 1000\n"


def test_too_little_memory(run_suite):
    """Reported with its values; the other two checks stay ok."""
    outcome = run_suite(GENEROUS.replace("available = 0", "available = '100%'"))
    assert outcome.status == 1
    assert " of memory available (" in outcome.message("host_memory[]")
    assert outcome.message("host_memory[]").endswith("), minimum 100 %")
    assert [each["status"] for each in outcome.checks.values()].count("ok") == 2


@pytest.mark.skipif(os.getloadavg()[2] == 0, reason="this machine has no load at all")
def test_too_much_load(run_suite):
    outcome = run_suite(GENEROUS.replace("per_core = 1000", "per_core = 1e-9"))
    assert outcome.status == 1
    assert "per core over 15 min, maximum 1e-09" in outcome.message("host_load[]")


def test_ok(run_suite):
    outcome = run_suite(GENEROUS)
    assert outcome.status == 0, outcome.output
    assert {each["status"] for each in outcome.checks.values()} == {"ok"}


@pytest.mark.parametrize("limits", [GENEROUS, "[host]\nmin_memory_available = '100%'\nmax_load_per_core = 1e-9\n"])
def test_metrics(run_suite, limits):
    """Each of the three checks has its own, with the limit that it asserts."""
    outcome = run_suite(limits)
    memory, load = metrics_of(outcome, "host_memory[]"), metrics_of(outcome, "host_load[]")
    assert [*memory] == ["used", "available"]
    assert (memory["used"]["unit"], memory["available"]["unit"]) == ("ratio", "bytes")
    assert load["load"]["value"] == pytest.approx(os.getloadavg()[2] / len(os.sched_getaffinity(0)), abs=1)
    assert_agrees(outcome, "host_memory[]", "used")
    assert_agrees(outcome, "host_load[]", "load")


def test_metrics_of_swap(run_suite):
    """A machine without swap space has none."""
    outcome = run_suite(GENEROUS)
    total = psutil.swap_memory().total
    assert [*metrics_of(outcome, "host_swap[]")] == (["used", "free"] if total else [])
    if total:
        assert_agrees(outcome, "host_swap[]", "used")


VITALS = Vitals(memory=1000, available=50, swap=1000, swap_used=900, load=4.0)


def test_limits_themselves_pass():
    """At the limit is not above it; a machine without swap space has none used."""
    host = Host()
    checks.test_host_memory(host, VITALS)
    checks.test_host_swap(host, VITALS)
    checks.test_host_load(host, VITALS)
    checks.test_host_swap(host, Vitals(memory=1000, available=50, swap=0, swap_used=0, load=0.0))


@pytest.mark.parametrize(
    ("check", "vitals", "words"),
    [
        (
            checks.test_host_memory,
            Vitals(1000, 49, 1000, 0, 0),
            r"^4\.9 % of memory available \(49 B of 1\.0 kB\), minimum 5 %\n",
        ),
        (
            checks.test_host_swap,
            Vitals(1000, 500, 1000, 901, 0),
            r"^90\.1 % of swap used \(0\.9 of 1\.0 kB\), maximum 90 %\n",
        ),
        (checks.test_host_load, Vitals(1000, 500, 1000, 0, 4.1), r"^load of 4\.1 per core over 15 min, maximum 4\n"),
    ],
)
def test_above_the_limits(check, vitals, words):
    with pytest.raises(AssertionError, match=words):
        check(Host(), vitals)


@reliability(
    "Messages",
    fault="a share is just beyond a limit that is no whole number of percent",
    promise="the message has both with the same digits",
)
@pytest.mark.parametrize(
    ("check", "vitals", "words"),
    [
        (checks.test_host_memory, Vitals(1000, 4, 1000, 0, 0), r"0\.4 % of memory .*, minimum 0\.5 %"),
        (checks.test_host_swap, Vitals(1000, 500, 1000, 996, 0), r"99\.6 % of swap .*, maximum 99\.5 %"),
    ],
)
def test_both_numbers_have_the_same_digits(check, vitals, words):
    with pytest.raises(AssertionError, match=words):
        check(Host(min_memory_available="0.5%", max_swap_used="99.5%"), vitals)
