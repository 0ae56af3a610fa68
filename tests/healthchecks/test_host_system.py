"""[host]: failed units, clock, security updates and restart, each only where it is configured."""

import re

import pytest

from healthchecks import CheckError, test_host
from healthchecks.clients.clock import parse_timesync_status, parse_tracking
from healthchecks.clients.debian import parse_simulation, read_required_restart
from healthchecks.test_host import Host
from tests.healthchecks.metrics import metrics_of
from tests.reliability import reliability
from tests.servers.apt import AptPackages
from tests.servers.chrony import Chrony


def test_what_is_not_configured_is_left_out(run_suite):
    """No test of it is collected, so that it is not counted as skipped."""
    outcome = run_suite("[host]\nmax_failed_units = 0\n", "healthchecks/test_host.py", "--collect-only", "-q")
    found = re.findall(r"test_host_\w+", outcome.output)
    assert found == ["test_host_memory", "test_host_swap", "test_host_load", "test_host_units"]


def test_failed_units(run_suite, systemd):
    systemd.write({f"broken{number}.service": "[Service]\nExecStart=/bin/false\n" for number in range(12)})
    systemd.run("systemctl reset-failed; systemctl start basic.target")
    assert run_suite("[host]\nmax_failed_units = 0\n").checks["host_units[]"]["status"] == "ok"
    systemd.run("systemctl start $(seq -f broken%g 0 11)")
    systemd.until("systemctl is-failed $(seq -f broken%g 0 11)")
    outcome = run_suite("[host]\nmax_failed_units = 11\n")
    systemd.run("systemctl reset-failed")
    words = r"12 failed units, maximum 11: (broken\d+\.service, ){9}broken\d+\.service and 2 more"
    assert re.fullmatch(words, outcome.message("host_units[]"))
    assert metrics_of(outcome, "host_units[]")["failed units"] == {
        "value": 12, "unit": "none", "limit": 11, "lower_limit": None
    }  # fmt: skip


@pytest.mark.parametrize("ahead", [0, 5])
def test_clock(run_suite, tmp_path, monkeypatch, ahead):
    """By a real chronyd that follows a server whose clock is right, or is ahead."""
    with Chrony(tmp_path, ahead=ahead) as chrony:
        monkeypatch.setenv("PATH", chrony.path_with_chronyc)
        outcome = run_suite("[host]\nmax_clock_offset = '1s'\n")
    offset = metrics_of(outcome, "host_clock[]")["clock offset"]
    assert (offset["value"], offset["limit"]) == (pytest.approx(ahead, abs=0.5), 1)
    if ahead:
        words = r"the clock is \d\.?\d* s behind, says chrony, maximum 1 s"
        assert re.fullmatch(words, outcome.message("host_clock[]"))
    else:
        assert outcome.checks["host_clock[]"]["status"] == "ok"


@reliability(
    "Checks", fault="the time service runs, and reaches no time server", promise="the check of the clock fails"
)
def test_a_clock_without_sources(run_suite, tmp_path, monkeypatch):
    with Chrony(tmp_path, has_source=False) as chrony:
        monkeypatch.setenv("PATH", chrony.path_with_chronyc)
        outcome = run_suite("[host]\nmax_clock_offset = '1s'\n")
    assert outcome.message("host_clock[]") == "the clock is not synchronised, says chrony"


def test_without_a_time_service(run_suite, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = run_suite("[host]\nmax_clock_offset = '1s'\nmax_failed_units = 0\nmax_security_updates = 0\n")
    assert {name: each["message"] for name, each in outcome.checks.items() if each["status"] == "error"} == {
        "host_clock[]": "no time service can be asked: chronyc is not on the PATH; timedatectl is not on the PATH",
        "host_units[]": "systemctl is not on the PATH: this check needs systemd",
        "host_updates[]": "apt-get is not on the PATH: security updates are known on Debian and Ubuntu only",
    }


TIMESYNC = """\
       Server: 162.159.200.1 (0.debian.pool.ntp.org)
Poll interval: 34min 8s (min: 32s; max 34min 8s)
         Leap: normal
      Version: 4
      Stratum: 3
    Reference: A070B08
    Precision: 1us (-25)
Root distance: 13.5ms (max: 5s)
       Offset: {}
        Delay: 8.262ms
       Jitter: 1.213ms
 Packet count: 44
    Frequency: +21.217ppm
"""


@pytest.mark.parametrize(
    ("offset", "seconds"),
    [("-1.124ms", -0.001124), ("+432us", 0.000432), ("+1min 2.5s", 62.5), ("-2s", -2.0), ("n/a", None), ("", None)],
)
def test_what_timedatectl_writes(offset, seconds):
    """As systemd 252 writes it; the real one was not tried with a time server."""
    state = parse_timesync_status(TIMESYNC.format(offset), is_synchronised=True)
    assert state.offset == (None if seconds is None else pytest.approx(seconds))
    assert parse_timesync_status(TIMESYNC.format(offset), is_synchronised=False).offset is None


@pytest.mark.parametrize("text", ["", "a,b", "x" * 10_000, "7F000001,127.0.0.1,6,1,nothing,0,0,0,0,0,0,0,0,Normal"])
def test_a_report_that_is_none(text):
    with pytest.raises(CheckError, match="chronyc: no report of tracking") as raised:
        parse_tracking(text)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("offset", ["nan", "inf", "1e300"])
def test_an_offset_that_is_none(offset):
    assert parse_tracking(f"7F000001,127.0.0.1,6,1,{offset},0,0,0,0,0,0,0,0,Normal").offset is None


def test_security_updates(run_suite, tmp_path, monkeypatch):
    """By the real apt-get, with a repository of security updates and one of others."""
    packages = AptPackages(tmp_path / "apt")
    packages.add("openssl", "1.0", new="1.1", label="Debian-Security")
    packages.add("sudo", "1.0", new="2.0", label="Debian-Security")
    packages.add("vim-security-theme", "1.0", new="1.1")
    packages.add("nginx", "1.0")
    monkeypatch.setenv("PATH", packages.update())
    outcome = run_suite("[host]\nmax_security_updates = 1\n")
    assert outcome.message("host_updates[]") == "2 security updates waiting, maximum 1: openssl, sudo"
    metrics = metrics_of(outcome, "host_updates[]")
    assert (metrics["security updates"]["value"], metrics["updates"]["value"]) == (2, 3)
    outcome = run_suite("[host]\nmax_security_updates = 2\n")
    assert outcome.checks["host_updates[]"]["status"] == "ok"


REAL = """\
Inst linux-image-6.1.0-28-amd64 (6.1.119-1 Debian-Security:12/stable-security [amd64])
Inst libc6 [2.36-9+deb12u8] (2.36-9+deb12u9 Debian:12.8/stable [amd64]) []
Inst libssl3 [3.0.2-0ubuntu1.15] (3.0.2-0ubuntu1.18 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])
Inst tzdata [2024a] (2024b Ubuntu:22.04/jammy-updates [all]) [libssl3:amd64 ]
Conf libc6 (2.36-9+deb12u9 Debian:12.8/stable [amd64])
Remv old [1] (Debian-Security)
"""


def test_what_apt_writes_of_debian_and_ubuntu():
    """A new kernel is a new package; of several origins one is enough."""
    found = parse_simulation(REAL)
    assert found.security == ("linux-image-6.1.0-28-amd64", "libssl3")
    assert (found.security_count, found.count) == (2, 4)


def test_a_flood_of_updates_is_cut():
    found = parse_simulation("Inst x (1 Debian-Security:12/stable-security [all])\n" * 5_000)
    assert (len(found.security), found.security_count) == (1_000, 5_000)
    with pytest.raises(AssertionError, match=r"5000 security updates waiting, maximum 0: (x, ){9}x and 4990 more"):
        test_host.test_host_updates(Host(max_security_updates=0), found)


def test_required_restart(tmp_path):
    path = tmp_path / "reboot-required"
    assert read_required_restart(path) is None
    test_host.test_host_restart(Host(reboot_required=False), None)
    path.write_text("*** System restart required ***\n")
    assert read_required_restart(path) == ()
    (tmp_path / "reboot-required.pkgs").write_text("linux-image-6.1.0-28-amd64\nlibc6\nlibc6\n")
    found = read_required_restart(path)
    assert found == ("linux-image-6.1.0-28-amd64", "libc6")
    with pytest.raises(
        AssertionError, match=r"a restart of the machine is required by linux-image-6.1.0-28-amd64, libc6"
    ):
        test_host.test_host_restart(Host(reboot_required=False), found)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"reboot_required": True}, "False"),
        ({"max_failed_units": -1}, "greater than or equal to 0"),
        ({"max_clock_offset": 0}, "greater than 0"),
        ({"max_security_updates": "few"}, "valid integer"),
    ],
)
def test_wrong_keys(keys, words):
    with pytest.raises(ValueError, match=words):
        Host(**keys)
