"""[database.NAME]: who gets a password in clear text, against servers that request it."""

import os
import socket
import struct
import threading
from pathlib import Path

import pytest

from healthchecks.clients.postgresql.connection import required
from tests.reliability import reliability
from tests.servers.postgresql import MONITOR
from tests.servers.server import HOST
from tests.suite import table

CHECK = "database_access[main]"
PASSWORD = "kaleidoscope-1967"
ASKS = b"R" + struct.pack("!ii", 8, 3)  # AuthenticationCleartextPassword
NOT_LOOPBACK = "127.1"  # leads to 127.0.0.1, but is no address that we know as such, as any name might be


class Asker:
    """A server without TLS that requests the password in clear text, and keeps all that it gets."""

    def __init__(self):
        self._socket = socket.create_server((HOST, 0))
        self.port = self._socket.getsockname()[1]
        self.got = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(60)
                self._talk(connection)

    def _talk(self, connection):
        try:
            while message := connection.recv(4096):
                self.got += message
                tls = message[4:8] in (struct.pack("!HH", 1234, 5679), struct.pack("!HH", 1234, 5680))
                connection.sendall(b"N" if tls else ASKS)
                if PASSWORD.encode() in message:
                    return
        except OSError:
            pass


@pytest.fixture
def asker():
    server = Asker()
    yield server
    server.close()


@reliability(
    "Secrets",
    fault="a PostgreSQL server without verified TLS requests the password in clear text",
    promise="it does not get it; the check fails and says why",
)
@pytest.mark.parametrize("form", ["keys", "dsn", "url"])
@pytest.mark.parametrize("sslmode", ["prefer", "disable"])
def test_cleartext_password_is_not_sent(run_suite, asker, form, sslmode):
    keys = {"host": NOT_LOOPBACK, "port": asker.port, "user": "monitor", "password": PASSWORD, "sslmode": sslmode}
    words = " ".join(f"{name}={value}" for name, value in keys.items())
    url = f"postgresql://monitor:{PASSWORD}@{NOT_LOOPBACK}:{asker.port}/x?sslmode={sslmode}"
    written = {"keys": keys, "dsn": {"dsn": words}, "url": {"dsn": url}}[form]
    message = run_suite(table("database", "main", **written)).message(CHECK)
    assert message.startswith("password requested in clear text and not sent")
    assert f"{NOT_LOOPBACK}:{asker.port}" in message
    assert b"monitor" in asker.got, "it was asked"
    assert PASSWORD.encode() not in asker.got


def test_loopback_gets_it(run_suite, asker):
    """Nobody else is on the way; what the server does then is its own fault."""
    keys = {"host": HOST, "port": asker.port, "user": "monitor", "password": PASSWORD}
    run_suite(table("database", "main", **keys)).message(CHECK)
    assert PASSWORD.encode() in asker.got


def test_postgresql_that_requests_clear_text(run_suite, postgresql):
    """A real one, by pg_hba.conf: it gets the password on loopback, but not under another name."""
    rules = Path(postgresql.data, "pg_hba.conf")
    before = rules.read_text()
    rules.write_text(f"host all {MONITOR.name} 127.0.0.1/32 password\n{before}")
    keys = {"port": postgresql.port, "user": MONITOR.name, "password": MONITOR.password}
    try:
        postgresql.execute("select pg_reload_conf()")
        local = run_suite(table("database", "main", host=HOST, **keys))
        other = run_suite(table("database", "main", host=NOT_LOOPBACK, **keys))
    finally:
        rules.write_text(before)
        postgresql.execute("select pg_reload_conf()")
    local.assert_ok(CHECK)
    assert "password requested in clear text" in other.message(CHECK)


@pytest.mark.parametrize(
    "options",
    [
        {"host": "db.example.com", "sslmode": "verify-full"},
        {"host": "db.example.com", "sslmode": "verify-ca"},
        {"host": "/run/postgresql"},
        {"host": "@abstract"},
        {},
        *({"host": host} for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1", "127.0.0.1,/run/postgresql")),
        {"host": "db.example.com", "hostaddr": "127.0.0.1"},
    ],
)
def test_safe_ways(options, monkeypatch):
    _without_libpq_variables(monkeypatch)
    assert required(options) == {}


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        *(({"host": "db.example.com", "sslmode": mode}, {}) for mode in ("disable", "allow", "prefer", "require")),
        ({"host": "db.example.com"}, {}),
        ({"host": "localhost.example.com"}, {}),
        ({"host": "192.0.2.1"}, {}),
        ({"host": "127.0.0.1,db.example.com"}, {}),
        ({"host": "localhost", "hostaddr": "192.0.2.1"}, {}),
        ({"service": "main"}, {}),
        ({}, {"PGHOST": "db.example.com"}),
        ({"host": "localhost"}, {"PGHOSTADDR": "192.0.2.1"}),
        ({}, {"PGSERVICE": "main"}),
    ],
)
def test_other_ways(options, variables, monkeypatch):
    _without_libpq_variables(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert required(options) == {"require_auth": "!password"}


def test_what_the_dsn_says_stays():
    assert required({"host": "db.example.com", "require_auth": "password"}) == {}


def _without_libpq_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
