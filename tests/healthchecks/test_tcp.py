"""[tcp.NAME], against ports that listen, and ports that do not."""

import pytest

from tests.suite import IN_TIME, table

CHECK = "tcp_access[port]"


def test_nobody_listens(run_suite, website):
    """A refused connection fails at once, and says where."""
    website.stop()
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=website.port))
    assert outcome.status == 1
    assert outcome.message(CHECK) == f"Connection refused at 127.0.0.1:{website.port}"


def test_something_listens(run_suite, website):
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=website.port))
    assert outcome.status == 0, outcome.output
    assert outcome.checks[CHECK]["status"] == "ok"


def test_stopped(run_suite, website):
    """The kernel still connects; who is to greet does not."""
    website.pause()
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=website.port, greeting="220", deadline=1))
    assert outcome.message(CHECK).startswith("no answer")


@pytest.mark.parametrize("name", ["hole", "drip_body"])
def test_no_greeting_in_time(run_suite, bad, name):
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=bad.port(name), greeting="220", deadline=1))
    assert outcome.status == 1
    assert outcome.message(CHECK).startswith("no answer")
    assert outcome.seconds < IN_TIME


@pytest.mark.parametrize(("name", "text"), [("closes", ""), ("garbage", "\\x00\\x01GARBAGE")])
def test_other_greeting(run_suite, bad, name, text):
    """Told with what came instead."""
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=bad.port(name), greeting="220"))
    assert outcome.status == 1
    assert outcome.message(CHECK).startswith(f"greets with '{text}")
    assert outcome.message(CHECK).endswith(f" at 127.0.0.1:{bad.port(name)} instead of '220'")


def test_greeting(run_suite, bad):
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=bad.port("garbage"), greeting="GARBAGE"))
    assert outcome.status == 0, outcome.output
