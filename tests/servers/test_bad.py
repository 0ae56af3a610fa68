"""The bad servers do what their names promise: or no test that uses them shows anything."""

import socket
import time

import pytest
import requests

from tests.servers.bad import BEHAVIOURS, BadServers
from tests.servers.server import HOST, is_free


def receive(port: int, seconds: float, request: bytes = b"GET / HTTP/1.0\r\n\r\n") -> bytes:
    """All that comes within a time, up to 1 MB; ends early where the server closes."""
    received, end = b"", time.monotonic() + seconds
    with socket.create_connection((HOST, port)) as connection:
        connection.sendall(request)
        while (left := end - time.monotonic()) > 0 and len(received) < 1_000_000:
            connection.settimeout(left)
            try:
                part = connection.recv(65536)
            except TimeoutError:
                break
            if not part:
                break
            received += part
    return received


def test_hole_accepts_and_never_answers(bad):
    with socket.create_connection((HOST, bad.port("hole")), timeout=0.3) as connection:
        connection.sendall(b"anybody there?")
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_hole_holds_a_thousand_connections(bad):
    """An outage of many targets at once is served by the one process."""
    port = bad.port("hole")
    connections = [socket.create_connection((HOST, port), timeout=60) for _ in range(900)]
    try:
        with pytest.raises(requests.ReadTimeout):
            requests.get(bad.url("hole"), timeout=0.3)
    finally:
        for connection in connections:
            connection.close()


def test_closes_ends_the_connection_at_once(bad):
    with pytest.raises(requests.ConnectionError):
        requests.get(bad.url("closes"), timeout=60)


def test_garbage_is_no_protocol(bad):
    with pytest.raises(requests.ConnectionError, match="GARBAGE"):
        requests.get(bad.url("garbage"), timeout=60)


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("drip_raw", b""),
        ("drip_header", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Never-Ends: "),
        ("drip_body", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\n"),
        ("drip_amqp", b"\x01\x00\x00\x00\x00\x01\xf4\x00\x0a\x00\x0a"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_drips_send_one_byte_a_second_and_never_end(bad, name, begin):
    """Within 1.5 s: the beginning and one or two bytes, and the connection is still open."""
    started = time.monotonic()
    received = receive(bad.port(name), 1.5)
    assert time.monotonic() - started >= 1.5, "it closed"
    assert received.startswith(begin)
    assert 1 <= len(received) - len(begin) <= 2


def test_endless_body_never_ends(bad):
    assert len(receive(bad.port("endless"), 5)) >= 1_000_000


def test_redirects_lead_to_themselves_slowly(bad):
    started = time.monotonic()
    answer = requests.get(bad.url("redirects"), timeout=60, allow_redirects=False)
    assert answer.is_redirect
    assert requests.compat.urljoin(answer.url, answer.headers["Location"]) == bad.url("redirects")
    assert time.monotonic() - started >= 0.9


def test_each_has_a_port_of_its_own_and_frees_it():
    with BadServers() as bad:
        assert set(bad.ports) == set(BEHAVIOURS)
        assert len(set(bad.ports.values())) == len(BEHAVIOURS)
        assert not any(is_free(port) for port in bad.ports.values())
    assert all(is_free(port) for port in bad.ports.values())
