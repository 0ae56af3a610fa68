"""[host], judged on this machine: limits that no machine meets, and limits that each does."""

import os

import pytest

from healthchecks import test_host as checks
from healthchecks.test_host import Host, Vitals
from tests.reliability import reliability

GENEROUS = "[host]\navailable = 0\nswap = '100%'\nload = 1000\n"


def test_too_little_memory(run_suite):
    """Told with the figures; the other two checks stay well."""
    outcome = run_suite(GENEROUS.replace("available = 0", "available = '100%'"))
    assert outcome.status == 1
    assert "of the memory is available" in outcome.message("host_memory[]")
    assert outcome.message("host_memory[]").endswith(", at least 100.0%")
    assert [each["status"] for each in outcome.checks.values()].count("ok") == 2


@pytest.mark.skipif(os.getloadavg()[2] == 0, reason="this machine has no load at all")
def test_too_much_load(run_suite):
    outcome = run_suite(GENEROUS.replace("load = 1000", "load = 1e-9"))
    assert outcome.status == 1
    assert "for each core over 15 min, at most 1e-09" in outcome.message("host_load[]")


def test_well(run_suite):
    outcome = run_suite(GENEROUS)
    assert outcome.status == 0, outcome.output
    assert {each["status"] for each in outcome.checks.values()} == {"ok"}


VITALS = Vitals(memory=1000, available=50, swap=1000, swap_used=900, load=4.0)


def test_limits_themselves_are_well():
    """At the limit is not above it; a machine without swap space has none used."""
    host = Host()
    checks.test_host_memory(host, VITALS)
    checks.test_host_swap(host, VITALS)
    checks.test_host_load(host, VITALS)
    checks.test_host_swap(host, Vitals(memory=1000, available=50, swap=0, swap_used=0, load=0.0))


@pytest.mark.parametrize(
    ("judge", "vitals", "words"),
    [
        (checks.test_host_memory, Vitals(1000, 49, 1000, 0, 0), "4.9% of the memory is available"),
        (checks.test_host_swap, Vitals(1000, 500, 1000, 901, 0), "90.1% of the swap space is used"),
        (checks.test_host_load, Vitals(1000, 500, 1000, 0, 4.1), "load of 4.1 for each core"),
    ],
)
def test_above_the_limits(judge, vitals, words):
    with pytest.raises(AssertionError, match=words):
        judge(Host(), vitals)


@reliability(
    "Messages",
    fault="a share is just beyond a limit that is no whole number of percent",
    promise="the message has both with the same digits",
)
@pytest.mark.parametrize(
    ("judge", "vitals", "words"),
    [
        (checks.test_host_memory, Vitals(1000, 4, 1000, 0, 0), r"0\.4% of the memory .*, at least 0\.5%"),
        (checks.test_host_swap, Vitals(1000, 500, 1000, 996, 0), r"99\.6% of the swap space .*, at most 99\.5%"),
    ],
)
def test_both_numbers_have_the_same_digits(judge, vitals, words):
    with pytest.raises(AssertionError, match=words):
        judge(Host(available="0.5%", swap="99.5%"), vitals)
