"""Networks and servers that cannot be reached: one message for each fault, alike by all kinds of checks."""

import contextlib
import socket
import subprocess
import sys

import pytest

from tests.reliability import reliability
from tests.servers.server import HOST, program
from tests.suite import table

ADDRESS = "192.0.2.1"  # for documentation only, by RFC 5737
PROBE = """
import sys
from healthchecks.clients import rabbitmq
from healthchecks.clients.connection import connect
from healthchecks.clients.http.client import Client, Request
from healthchecks.clients.postgresql import connection as postgresql
from healthchecks.clients.connection import Progress, ConnectionStep
from healthchecks.test_website import Website

HOST = sys.argv[1]

def http():
    with Client(website := Website(url=f"https://{HOST}:5000/")) as client:
        client.send(Request(website.url))

def database():
    with postgresql.session(postgresql.DatabaseAccess(options={"host": HOST, "port": 5000, "user": "u"})):
        pass

def broker():
    with rabbitmq.session(rabbitmq.BrokerAccess(HOST, 5000, "u", "p")):
        pass

for probe in (http, database, broker, lambda: connect(Progress(HOST, 5000), ConnectionStep.RESPONSE)):
    try:
        probe()
    except Exception as error:
        print(type(error).__name__, error)
"""
ROUTES = {
    "no network": "true",
    "unreachable": f"ip route add unreachable {ADDRESS}",
    "blackhole": f"ip route add blackhole {ADDRESS}",
}


def in_namespace(script, host):
    """What the probes say where there is nothing but the loopback interface, and what this shell script makes."""
    program("ip")
    script = f"ip link set lo up && {script}"
    words = [program("unshare"), "--user", "--map-root-user", "--net", "sh", "-c", f'{script} && exec "$@"', "sh"]
    ended = subprocess.run(
        [*words, sys.executable, "-c", PROBE, host], capture_output=True, text=True, timeout=120, check=False
    )
    if "unshare" in ended.stderr or "Operation not permitted" in ended.stderr:
        pytest.skip("missing: network namespaces")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize("route", ROUTES)
@reliability(
    "Messages",
    fault="there is no route to the server, or no network",
    promise='"no route to 192.0.2.1:443" at once, and nothing about time',
)
def test_no_route(route):
    assert in_namespace(ROUTES[route], ADDRESS) == [f"Unhealthy no route to {ADDRESS}:5000"] * 4


@reliability(
    "Messages",
    fault="a connection is refused",
    promise="one spelling of it in all kinds, with the address",
)
def test_refused():
    """One spelling of it, too."""
    assert in_namespace("true", "127.0.0.1") == ["Unhealthy connection refused at 127.0.0.1:5000"] * 4


def test_no_such_name():
    """There is no name server either."""
    for line in in_namespace("true", "db.invalid"):
        assert line.startswith("Unhealthy cannot resolve db.invalid")


@reliability(
    "Messages",
    fault="a firewall drops the packets, or the machine is off",
    promise='"could not connect to db1:5432 within 10 s" in all kinds',
)
def test_dropped_packets(run_suite):
    """As the kernel drops the first packet of a connection for which a full queue of connections has no place."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        address = listener.getsockname()
        stack.enter_context(socket.create_connection(address))
        keys = {"host": HOST, "port": address[1], "timeout": 5}
        tables = [
            table("website", "full", url=f"https://{HOST}:{address[1]}/", timeout=5),
            table("tcp", "full", **keys),
            table("database", "full", user="monitor", **keys),
            table("rabbitmq", "full", user="monitor", password="hunter-two", **keys),
        ]
        outcome = run_suite("\n".join(tables))
    assert len(outcome.checks) == len(tables), outcome.output
    messages = {each["message"] for each in outcome.checks.values()}
    assert messages == {f"could not connect to {HOST}:{address[1]} within 5 s"}, outcome.output
