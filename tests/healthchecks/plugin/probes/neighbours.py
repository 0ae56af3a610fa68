"""Innocent checks that run next to a harmful one, and what must be true of them after the run.

def test_crash(neighbours):
    outcome = neighbours.run(probed("os._exit(3)"))
    assert harm(outcome)["status"] == "error"
"""

import os
import signal
import subprocess
import textwrap
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.healthchecks.plugin.received import alerts, in_history
from tests.servers.server import until

LIMIT = 60  # seconds; with nothing else to do on the machine each run ends within 5

HEAD = """
import collections, ctypes, itertools, logging, os, re, signal, socket, subprocess, sys, threading, time
from pathlib import Path
import pytest
from healthchecks import Target, Unhealthy, attach, capture_message, on_timeout, probe, remaining

FOLDER = Path(__file__).parent


class Harm(Target):
    pass


class Steady(Target):
    pass


class Port(Target):
    number: int
"""

INNOCENT = """
@probe
def contact_steady(steady: Steady) -> str:
    time.sleep(0.5)  # so that it is under way when the harm is done
    return steady.name


def test_steady(steady, contact_steady):
    assert contact_steady == steady.name


def test_unhealthy(steady, contact_steady):
    assert contact_steady == "another", "asserted"


@probe
def contact_port(port: Port) -> bytes:
    with socket.create_connection(("127.0.0.1", port.number)) as connection:
        return connection.recv(1)


def test_silent(port, contact_port):
    pass


@pytest.mark.healthcheck
def test_plain():
    assert 1 == 2, "asserted, too"
"""

CONFIGURATION = """
[harm.one]
timeout = "{timeout}"
[steady.a]
timeout = "30s"
[steady.b]
timeout = "30s"
[port.silent]
number = {port}
timeout = "1s"
[alerts]
webhook = "{webhook}"
"""

EXPECTED = {
    "steady[a]": ("ok", ""),
    "steady[b]": ("ok", ""),
    "unhealthy[a]": ("failed", "asserted"),
    "unhealthy[b]": ("failed", "asserted"),
    "silent[silent]": ("failed", "no response within 1 s"),
    "plain[]": ("failed", "asserted, too"),
}


def probed(body):
    """Return a check whose probe does this."""
    return f"""
@probe
def contact_harm(harm: Harm):
    time.sleep(0.2)
{_indented(body)}


def test_harm(harm, contact_harm):
    pass
"""


def asserted(body):
    """Return a check with a probe, whose test does this."""
    return f"""
@probe
def contact_harm(harm: Harm):
    return "fine"


def test_harm(harm, contact_harm):
{_indented(body)}
"""


def plain(body):
    """Return a check without a probe that does this."""
    return f"""
@pytest.mark.healthcheck(timeout=TIMEOUT)
def test_harm():
{_indented(body)}
"""


FORMS = [probed, asserted, plain]


def _indented(body):
    return textwrap.indent(textwrap.dedent(body).strip(), "    ")


class Neighbours:
    """A suite of innocent checks, to which a harmful one is added; its alerts go to the website."""

    timeout = "30s"
    """Of the harmful check; what hangs has a shorter one."""

    def __init__(self, suite, website, port):
        self.suite, self.website, self.port = suite, website, port
        self.settings = ""
        self.messages = []  # alerts besides those of failing checks, by check

    def run(self, check, *arguments):
        """Return the outcome of a run in which every innocent check had its status, was recorded and alerted."""
        outcome = finish(self.suite, self.start(check, *arguments), self.output)
        self.assert_unharmed(outcome)
        return outcome

    def start(self, check, *arguments):
        """Start a run; a process that it leaves cannot hold its output open, which is a file."""
        self.website.forget()
        self.website.answer("/hook")
        self._write(check)
        with self.output.open("w") as output:
            return self.suite.start("test_mine.py", *arguments, stdout=output)

    @property
    def output(self) -> Path:
        return self.suite.folder / "output"

    def _write(self, check):
        head = HEAD + f'TIMEOUT = "{self.timeout}"\n'
        self.suite.write("test_mine.py", head + check + INNOCENT)
        values = {"port": self.port, "webhook": self.website.url("/hook"), "timeout": self.timeout}
        self.suite.configure(CONFIGURATION.format(**values) + self.settings)

    def assert_unharmed(self, outcome):
        assert outcome.status == 1, outcome.output
        assert not outcome.document["interrupted"], outcome.output
        assert results(outcome, EXPECTED) == EXPECTED, outcome.output
        assert "harm" in names(outcome), outcome.output
        alerted = [f"{each['check']}[{each['target']}]" for each in alerts(self.website)]
        failing = [name for name, each in outcome.checks.items() if each["status"] in {"failed", "error"}]
        assert sorted(alerted) == sorted([*failing, *self.messages]), outcome.output
        assert set(in_history(self.suite)) == names(outcome)
        page = (self.suite.page / "index.html").read_text()
        assert all(name in page for name in names(outcome))


def finish(suite, process, output):
    """Return the outcome of a run that writes to the file. Fail if it has not ended in time."""
    try:
        process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait(LIMIT)
        pytest.fail(f"the run had not ended within {LIMIT} s:\n{output.read_text(errors='replace')}")
    return replace(suite.finish(process), output=output.read_text(errors="replace"))


def names(outcome):
    return {each["check"] for each in outcome.document["checks"]}


def results(outcome, selected):
    """Return status and message of these checks, as far as they have a result."""
    known = outcome.checks
    return {name: (known[name]["status"], known[name]["message"]) for name in selected if name in known}


def harm(outcome):
    """Return the entry of the harmful check in status.json."""
    (entry,) = [each for each in outcome.document["checks"] if each["check"] == "harm"]
    return entry


def assert_times_out(neighbours, check, form):
    """Assert that the harmful check ends by its timeout: a test that hangs is an error, a plain one fails."""
    neighbours.timeout = "2s"
    outcome = neighbours.run(check)
    expected = {
        probed: ("failed", "no response within 2 s"),
        asserted: ("error", "the test did not end within 2 s"),
        plain: ("failed", "no response within 2 s"),
    }
    assert (harm(outcome)["status"], harm(outcome)["message"]) == expected[form], outcome.output


def assert_ended(pid):
    """Assert that a process of a check is gone, or will be in a moment; end it if it is not."""
    try:
        until(lambda: not is_alive(pid), 20, what="end of the process")
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
