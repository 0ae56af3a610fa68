"""A peer that makes its client compute, buffer or parse without end holds its own check only."""

import base64
import re
import struct
import threading
import time

import pytest

from tests.healthchecks.plugin.probes.neighbours import LIMIT, finish
from tests.healthchecks.plugin.probes.usage import Memory, is_quiet
from tests.healthchecks.plugin.received import alerts
from tests.reliability import reliability
from tests.servers.peers import peer, says
from tests.servers.server import HOST, until
from tests.suite import ProjectSuite, table

MEGABYTE = 1_000_000
MOST_MEMORY = 800 * MEGABYTE  # of one process: the limit is 512 MB, and it is measured now and then


class MixedSuite:
    """A healthy website, a wrong one and a silent port, and peers next to them; alerts go to the website."""

    def __init__(self, folder, website, bad):
        self.folder, self.website, self.bad = folder, website, bad

    def start(self, *tables, silence="3s"):
        website = self.website
        website.forget()
        website.answer("/hook")
        toml = [
            *tables,
            table("website", "healthy", url=website.url("/"), timeout="30s"),
            table("website", "wrong", url=website.url("/status/503"), timeout="30s"),
            table("tcp", "silent", host=HOST, port=self.bad.port("hole"), greeting="ready", timeout=silence),
            f'[alerts]\nwebhook = "{website.url("/hook")}"',
        ]
        self.suite = ProjectSuite(self.folder, "\n".join(toml))
        self.output = self.folder / "output"
        with self.output.open("w") as output:
            return self.suite.start(stdout=output)

    def finish(self, process):
        """Return the outcome, in which the innocent checks have their status, and are recorded and alerted."""
        outcome = finish(self.suite, process, self.output)
        status = {name: each["status"] for name, each in outcome.checks.items()}
        innocent = {"website_access[healthy]": "ok", "website_access[wrong]": "failed", "tcp_access[silent]": "failed"}
        assert {name: status.get(name) for name in innocent} == innocent, outcome.output
        assert outcome.checks["website_access[wrong]"]["message"].startswith("status 503")
        assert "within" in outcome.checks["tcp_access[silent]"]["message"]
        alerted = {f"{each['check']}[{each['target']}]" for each in alerts(self.website)}
        assert alerted == {name for name, each in status.items() if each == "failed"}, outcome.output
        return outcome

    def run(self, *tables):
        return self.finish(self.start(*tables))


@pytest.fixture
def mixed(tmp_path, website, bad):
    return MixedSuite(tmp_path, website, bad)


# PostgreSQL's protocol: https://www.postgresql.org/docs/current/protocol-message-formats.html


def message(kind, content):
    return kind + struct.pack("!i", len(content) + 4) + content


def scram(iterations):
    """Ask for SCRAM with so many iterations."""

    def act(connection):
        connection.recv(65536)
        connection.sendall(message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"))
        nonce = re.search(rb"r=([^,]+)", connection.recv(65536))[1]
        challenge = b"r=%sserver,s=%s,i=%d" % (nonce, base64.b64encode(b"salt"), iterations)
        connection.sendall(message(b"R", struct.pack("!i", 11) + challenge))
        connection.recv(65536)

    return act


PARAMETERS = (b"client_encoding\0UTF8\0", b"DateStyle\0ISO, MDY\0", b"standard_conforming_strings\0on\0")
WELCOME = (
    message(b"R", struct.pack("!i", 0)) + b"".join(message(b"S", each) for each in PARAMETERS) + message(b"Z", b"I")
)
COLUMN = message(b"T", struct.pack("!h", 1) + b"a\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0))
COMPLETE = message(b"C", b"BEGIN\0") + message(b"Z", b"T")


def stream(chunk, times):
    """Send the chunk so often, or until the client is gone."""

    def act(connection):
        for _ in range(times):
            connection.sendall(chunk)

    return act


def queried(beginning, rest):
    """Let a client log in, and respond to its first select with this."""

    def act(connection):
        connection.recv(65536)
        connection.sendall(WELCOME)
        while b"select" not in connection.recv(65536):
            connection.sendall(COMPLETE)
        connection.sendall(beginning)
        rest(connection)

    return act


def one_row(size):
    return b"D" + struct.pack("!ihi", size, 1, size - 10)


def database(port):
    keys = {"host": HOST, "port": port, "user": "monitor", "password": "x", "sslmode": "disable", "timeout": "3s"}
    return table("database", "bad", **keys)


DATABASES = {
    "SCRAM iterations": scram(2_000_000_000),
    "rows without end": queried(COLUMN, stream(message(b"D", struct.pack("!hi", 1, 60_000) + b"x" * 60_000), 10**9)),
    "row of 2 GB": queried(COLUMN + one_row(2_000_000_000), stream(b"x" * MEGABYTE, 2000)),
    "error of 1 GB": queried(b"E" + struct.pack("!i", 1_000_000_000) + b"SFATAL\0M", stream(b"x" * MEGABYTE, 1000)),
}


@reliability(
    "Checks",
    fault="a PostgreSQL server asks for 2·10⁹ SCRAM iterations, sends endless rows, one of 2 GB, an error of 1 GB",
    promise="its check fails within its timeout and its memory limit, every other check is recorded and alerted",
)
@pytest.mark.parametrize("kind", DATABASES)
def test_database(mixed, kind):
    with peer(DATABASES[kind]) as port:
        process = mixed.start(database(port))
        memory = Memory(process.pid)
        outcome = mixed.finish(process)
    check = outcome.checks["database_access[bad]"]
    assert check["status"] == "failed", outcome.output
    assert re.search(r"within 3 s|memory|MB|GB", check["message"]), check["message"]
    assert len(check["message"]) < 2000
    assert memory.most() < MOST_MEMORY


@reliability(
    "Checks",
    fault="a website's body of 1.6 MB is in charset punycode, which takes minutes to decode",
    promise="it is read as UTF-8, every other check is recorded and alerted",
)
def test_charset(mixed):
    body = b"Welcome-" + b"b" * 1_600_000
    header = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=punycode\r\nContent-Length: %d\r\n\r\n" % len(body)
    with peer(says(header + body)) as port:
        outcome = mixed.run(table("website", "odd", url=f"http://{HOST}:{port}/", contains="Welcome", timeout="3s"))
    assert outcome.checks["website_access[odd]"]["status"] == "ok", outcome.output


# AMQP 0-9-1: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf


def frame(kind, content):
    return struct.pack("!BHI", kind, 0, len(content)) + content + b"\xce"


def method(number, content=b""):
    return frame(1, struct.pack("!HH", 10, number) + content)


def long_text(text):
    return struct.pack("!I", len(text)) + text


START = method(10, b"\0\x09" + long_text(b"") + long_text(b"PLAIN AMQPLAIN") + long_text(b"en_US"))
TUNE = method(30, struct.pack("!HIH", 0, 131072, 60))
OPENED = method(41, b"\0")
FLOODS = {
    "heartbeats": frame(8, b"") * 1000,
    "blocked": (method(60, b"\x06memory") + method(61)) * 1000,
}


class Flood:
    """An AMQP server that lets its clients log in, and then floods them with frames."""

    def __init__(self, frames):
        self.frames = frames
        self.sent = 0
        self.began = threading.Event()

    def __call__(self, connection):
        for response in (START, TUNE, OPENED):
            connection.recv(65536)
            connection.sendall(response)
        self.began.set()
        for _ in range(10**9):
            connection.sendall(self.frames)
            self.sent += 1

    def is_over(self):
        """Return whether nobody has taken a frame for a second: the clients are gone, or read no more."""
        before = self.sent
        time.sleep(1)
        return self.sent == before


@reliability(
    "Checks",
    fault="AMQP servers flood their clients with heartbeats, or with blocked and unblocked",
    promise="the checks fail by their timeout and use no processor time after it; every other check is right",
)
@pytest.mark.parametrize("frames", FLOODS)
def test_flood(mixed, frames):
    flood = Flood(FLOODS[frames])
    names = ("one", "two")
    with peer(flood) as port:
        process = mixed.start(
            *(table("rabbitmq", name, host=HOST, port=port, timeout="3s") for name in names), silence="12s"
        )
        assert flood.began.wait(LIMIT)
        until(lambda: flood.is_over() and is_quiet(process.pid), LIMIT, what="end of the flood")
        is_over = process.poll() is not None
        outcome = mixed.finish(process)
    assert not is_over, "the clients took frames until the run was over"
    for name in names:
        assert outcome.checks[f"rabbitmq_access[{name}]"]["status"] == "failed"
        assert "within 3 s" in outcome.checks[f"rabbitmq_access[{name}]"]["message"]
