"""[tcp.NAME], against ports that listen, and ports that do not."""

import contextlib

import pytest

from tests.healthchecks.metrics import metrics_of
from tests.reliability import reliability
from tests.servers.peers import at_once, peer, reset, stay
from tests.suite import IN_TIME, table

CHECK = "tcp_access[port]"


def test_nobody_listens(run_suite, website):
    """A refused connection fails at once, and says where."""
    website.stop()
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=website.port))
    assert outcome.status == 1
    assert outcome.message(CHECK) == f"connection refused at 127.0.0.1:{website.port}"


def test_something_listens(run_suite, website):
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=website.port))
    assert outcome.status == 0, outcome.output
    assert outcome.checks[CHECK]["status"] == "ok"


def test_metrics(run_suite):
    """Whatever the greeting is."""
    with peer(at_once(b"554")) as port:
        outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=port, greeting="220"))
    found = metrics_of(outcome, CHECK)
    assert [*found] == ["connect"]
    assert found["connect"]["unit"] == "seconds"
    assert 0 < found["connect"]["value"] <= outcome.checks[CHECK]["duration"]
    assert outcome.status == 1


def test_stopped(run_suite, website):
    """The kernel still connects; who is to greet does not."""
    website.pause()
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=website.port, greeting="220", timeout=4))
    assert outcome.message(CHECK) == f"connected to 127.0.0.1:{website.port}, no greeting within 4 s"


@pytest.mark.parametrize("name", ["hole", "drip_body"])
def test_no_greeting_in_time(run_suite, bad, name):
    outcome = run_suite(table("tcp", "port", host="127.0.0.1", port=bad.port(name), greeting="220", timeout=4))
    assert outcome.status == 1
    assert outcome.message(CHECK) == f"connected to 127.0.0.1:{bad.port(name)}, no greeting within 4 s"
    assert outcome.duration < IN_TIME


OTHER = {
    "closes": (at_once(), "connection closed without a greeting at PEER"),
    "resets": (at_once(end=reset), "connection closed without a greeting at PEER"),
    "within": (at_once(b"554 error 220\r\n"), "greeting '554 error 220' at PEER instead of '220'"),
    "half": (at_once(b"22"), "greeting '22' at PEER instead of '220'"),
    "garbage": (at_once(b"\x00\x01 \xff", end=stay), "greeting '\\x00\\x01 \ufffd' at PEER instead of '220'"),
    "long": (at_once(b"x" * 70_000, end=stay), f"greeting '{'x' * 59}…' at PEER instead of '220'"),
}


@reliability(
    "Messages",
    fault="a port greets otherwise, with the text somewhere within, or closes at once",
    promise="fails with what came, or says that nothing did",
)
def test_other_greeting(run_suite):
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(peer(act)) for name, (act, _) in OTHER.items()}
        outcome = run_suite(
            "\n".join(table("tcp", name, host="127.0.0.1", port=port, greeting="220") for name, port in ports.items())
        )
    assert {name: outcome.message(f"tcp_access[{name}]") for name in OTHER} == {
        name: expected.replace("PEER", f"127.0.0.1:{ports[name]}") for name, (_, expected) in OTHER.items()
    }


def test_greeting(run_suite):
    """It may come in parts; nothing has to come where nothing is expected."""

    def act(connection):
        for letter in b"220 ready":
            connection.sendall(bytes([letter]))
        stay(connection)

    with peer(act) as port, peer(at_once()) as closes:
        mail = table("tcp", "port", host="127.0.0.1", port=port, greeting="220 ")
        outcome = run_suite(mail + table("tcp", "plain", host="127.0.0.1", port=closes))
    assert outcome.status == 0, outcome.output


HOSTS = ["https://app.example.com", "postgresql://db", "a b", ""]


def test_host_that_is_none(run_suite):
    """Reported with the configuration, not as a name that cannot be resolved."""
    kinds = [(kind, f"n{i}", host) for i, host in enumerate(HOSTS) for kind in ("tcp", "rabbitmq", "database")]
    outcome = run_suite("\n".join(table(kind, name, host=host, port=1) for kind, name, host in kinds))
    assert outcome.status == 4, outcome.output
    for kind, name, _ in kinds:
        assert f"[{kind}.{name}] host: " in outcome.output
