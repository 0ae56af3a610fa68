"""Peers that do not speak TLS, or stop to: one message for one fault, whatever OpenSSL calls it."""

import socket

import pytest

from healthchecks import Unhealthy
from healthchecks.clients.http.client import Client, Request
from healthchecks.test_website import Website
from tests.reliability import reliability
from tests.servers.peers import at_once, over_tls, peer, reset, says, stay
from tests.servers.server import HOST

CLOSE_NOTIFY = b"\x15\x03\x03\x00\x02\x01\x00"
HALF_A_RECORD = b"\x16\x03\x03\x00\x7a\x02\x00\x00"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

FLOOD = 40_000_000  # bytes: more than lies between two sockets, so that a reset finds the client in the middle of them
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n"


def with_close_notify(connection):
    connection.unwrap()


def half_closed(connection):
    connection.shutdown(socket.SHUT_WR)
    stay(connection)


BEFORE_TLS = {
    "closes at once": at_once(),
    "resets at once": at_once(end=reset),
    "closes after the hello": says(),
    "resets after the hello": says(end=reset),
    "half-closes": at_once(end=half_closed),
    "half-closes after the hello": says(end=half_closed),
    "close_notify at once": at_once(CLOSE_NOTIFY),
    "close_notify, and stays": at_once(CLOSE_NOTIFY, end=stay),
    "close_notify after the hello": says(CLOSE_NOTIFY),
    "close_notify, then resets": says(CLOSE_NOTIFY, end=reset),
    "half a record": says(HALF_A_RECORD),
    "half a record, then resets": says(HALF_A_RECORD, end=reset),
}
PLAIN = {
    "greeting": at_once(b"220 mail.example.com ESMTP ready\r\n", end=stay),
    "greeting, and closes": at_once(b"220 mail.example.com ESMTP ready\r\n", end=half_closed),
    "http": says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    "http, then resets": says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", end=reset),
    "zeros": says(bytes(64)),
    "noise": says(bytes(range(128, 256))),
}
AFTER_TLS = {
    "closes": (says(), "connection closed without a response"),
    "resets": (says(end=reset), "connection closed without a response"),
    "close_notify": (says(end=with_close_notify), "connection closed without a response"),
    "within the headers": (says(HELLO[:30]), "connection closed before the end of the headers"),
    "close_notify within the headers": (
        says(HELLO[:30], end=with_close_notify),
        "connection closed before the end of the headers",
    ),
    "within the body": (says(HELLO + b"hel"), "connection closed before the end of the body"),
    "resets within the body": (says(LARGE, bytes(FLOOD), end=reset), "connection closed before the end of the body"),
}


def message(port):
    with Client(website := Website(url=f"https://{HOST}:{port}/", verify=False, max_body="100MB")) as client:
        with pytest.raises(Unhealthy) as caught:
            client.send(Request(website.url))
        return str(caught.value)


@pytest.mark.parametrize("name", BEFORE_TLS)
@reliability(
    "Messages",
    fault="a server closes or resets the connection while TLS is agreed on",
    promise="one message, whatever OpenSSL calls it",
)
def test_closed_before_tls(name):
    with peer(BEFORE_TLS[name]) as port:
        assert message(port) == f"connection closed during the TLS handshake at {HOST}:{port}"


@pytest.mark.parametrize("name", PLAIN)
def test_no_tls_spoken(name):
    with peer(PLAIN[name]) as port:
        assert message(port) == f"no TLS at {HOST}:{port}"


@pytest.mark.parametrize("name", AFTER_TLS)
@reliability(
    "Messages",
    fault="a connection breaks off before an answer, or within headers or body, over TLS too",
    promise="the message says where it broke off",
)
def test_closed_after_tls(name, website):
    act, expected = AFTER_TLS[name]
    with peer(over_tls(website.certificates.good, act)) as port:
        found = message(port)
    assert found.startswith(expected)
    assert found.endswith(f" at {HOST}:{port}")
