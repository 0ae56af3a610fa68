"""What web servers send in unusual ways: what browsers take is fine, and what is not says what came."""

import gzip
import zlib

import pytest

from healthchecks import Unhealthy
from healthchecks.clients.http import transport
from healthchecks.clients.http.body import decode_body, first_difference
from healthchecks.clients.http.client import Client, Request
from healthchecks.test_website import Website
from tests.reliability import reliability
from tests.servers.peers import peer, says
from tests.servers.server import HOST
from tests.suite import table

HELLO = b"Hello, and welcome"
PACKED = gzip.compress(HELLO)
RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(HELLO) + RAW.flush()
OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = b"Connection: close\r\n\r\n"


def sized(body, *headers):
    return b"".join([OK, *(each + b"\r\n" for each in headers), b"Content-Length: %d\r\n" % len(body), CLOSE, body])


def packed(body, name=b"gzip"):
    return sized(body, b"Content-Encoding: " + name)


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
COOKIES = [b"Set-Cookie: c%d=%d; Path=/" % (number, number) for number in range(150)]

GOOD = {
    "plain": sized(HELLO),
    "until it closes": OK + CLOSE + HELLO,
    "chunked": OK + b"Transfer-Encoding: chunked\r\n" + CLOSE + b"12\r\n" + HELLO + b"\r\n0\r\n\r\n",
    "early hints": EARLY_HINTS + sized(HELLO),
    "many interim responses": CONTINUE * 5 + EARLY_HINTS * 15 + sized(HELLO),
    "150 cookies": sized(HELLO, *COOKIES),
    "bare line feeds": sized(HELLO).replace(b"\r\n", b"\n"),
    "one length twice": sized(HELLO, b"Content-Length: %d" % len(HELLO)),
    "gzip": packed(PACKED),
    "gzip until it closes": OK + b"Content-Encoding: gzip\r\n" + CLOSE + PACKED,
    "gzip of two members": packed(gzip.compress(HELLO[:5]) + gzip.compress(HELLO[5:])),
    "gzip and zeros": packed(PACKED + bytes(9)),
    "deflate": packed(zlib.compress(HELLO), b"deflate"),
    "deflate without a frame": packed(DEFLATED, b"Deflate"),
    "packed as nobody asked": packed(HELLO, b"snappy"),
}
BAD = {
    "too many interim responses": (EARLY_HINTS * 21, "more than 20 interim responses (1xx) at PEER"),
    "nothing but an interim one": (EARLY_HINTS, "connection closed before the end of the headers at PEER"),
    "cut headers": (OK + b"Content-Ty", "connection closed before the end of the headers at PEER"),
    "cut body": (sized(HELLO)[:-1], "connection closed before the end of the body at PEER"),
    "cut chunks": (
        OK + b"Transfer-Encoding: chunked\r\n" + CLOSE + b"12\r\nHel",
        "connection closed before the end of the body at PEER",
    ),
    "no header ends": (OK + b"X-Long: " + b"x" * 300_000, "more than 262 kB of headers at PEER"),
    "2,000 headers": (sized(HELLO, *COOKIES * 14), "more than 1000 headers at PEER"),
    "gzip cut, length fits": (packed(PACKED[:-9]), "compressed body is incomplete at PEER"),
    "gzip without its sum": (packed(PACKED[:-8]), "compressed body is incomplete at PEER"),
    "gzip, wrong sum": (packed(PACKED[:-8] + bytes(8)), "body cannot be decompressed at PEER"),
    "no gzip": (packed(HELLO), "body cannot be decompressed at PEER"),
    "length of many": (
        OK + b"Content-Length: many\r\n" + CLOSE + HELLO, "invalid Content-Length 'many' at PEER"
    ),
    "negative length": (
        OK + b"Content-Length: -1\r\n" + CLOSE + HELLO, "invalid Content-Length '-1' at PEER"
    ),
    "two lengths": (
        sized(HELLO, b"Content-Length: 3"), "invalid Content-Length '3' at PEER"
    ),
    "ssh": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "response is not HTTP at PEER: 'SSH-2.0-OpenSSH_9.2p1'"),
    "mail, several lines": (
        b"220-mail\r\n220 ready\r\n", "response is not HTTP at PEER: '220-mail'"
    ),
    "binary": (
        b"\x15\x03\x01\x00\x02\x02F",
        "response is not HTTP at PEER: '\\x15\\x03\\x01\\x00\\x02\\x02F'",
    ),
    "long": (b"x" * 70_000, f"response is not HTTP at PEER: '{'x' * 59}…'"),
    "secret": (
        b"password=hunter-five " + b"x" * 99,
        f"response is not HTTP at PEER: 'password=[Filtered] {'x' * 39}…'",
    ),
    "another version": (b"HTTP/2 200\r\n\r\n", "response is not HTTP at PEER: 'HTTP/2 200'"),
    "status of words": (b"HTTP/1.1 fine\r\n\r\n", "response is not HTTP at PEER: 'HTTP/1.1 fine'"),
}  # fmt: skip


def ask(port):
    with Client(website := Website(url=f"http://{HOST}:{port}/")) as client:
        return client.send(Request(website.url))


@pytest.mark.parametrize("name", GOOD)
@reliability(
    "Messages",
    fault="interim responses, 150 cookies, every way to pack or delimit a body",
    promise="taken as a browser takes them",
)
def test_good_peers(name):
    with peer(says(GOOD[name])) as port:
        answer = ask(port)
    assert (answer.status, answer.body) == (200, HELLO)


@pytest.mark.parametrize("name", BAD)
@reliability(
    "Messages",
    fault="a response is cut, contradicts itself, is too large in one way, or is another protocol's",
    promise="the check fails, and its message names which, with the limit or the first bytes",
)
def test_bad_peers(name):
    sent, expected = BAD[name]
    with peer(says(sent)) as port, pytest.raises(Unhealthy) as caught:
        ask(port)
    assert str(caught.value) == expected.replace("PEER", f"{HOST}:{port}")


@reliability(
    "Messages",
    fault="the server that a redirect leads to is the one that fails",
    promise="the message says which URL redirected there",
)
def test_redirect_says_where_it_came_from():
    def act(connection):
        if b"GET / " in connection.recv(65536):
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /in\r\nContent-Length: 0\r\n\r\n")

    with peer(act) as port, pytest.raises(Unhealthy) as caught:
        ask(port)
    where = f"{HOST}:{port} (redirected from http://{HOST}:{port}/)"
    assert str(caught.value) == f"connection closed without a response at {where}"
    away = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with peer(says(away)) as port, pytest.raises(Unhealthy) as caught:
        ask(port)
    assert str(caught.value) == f"connection refused at 127.0.0.1:1 (redirected from http://{HOST}:{port}/)"


def test_limits_are_those_of_the_docs():
    assert (transport._MOST_HEADERS, transport._MOST_BYTES) == (1_000, 262_144)


LATIN = "<p>Grüße für 5 €</p>"


@reliability("Messages", fault="a page says only in <meta> that it is Latin-1", promise="read as a browser reads it")
def test_charset_of_a_page():
    meta = '<!doctype html><meta name="x" content="y"><META http-equiv=content-type content="text/html; charset={}">'
    for label in ("ISO-8859-1", "latin1", "windows-1252", "us-ascii"):
        page = meta.format(label) + LATIN
        assert decode_body(page.encode("cp1252"), "text/html") == page
        assert decode_body(page.encode("cp1252"), "") == page
    short = f"<meta charset='cp1251'>{LATIN}"
    assert decode_body(b"<meta charset='cp1251'>\xcf", "text/html").endswith("\u041f")
    assert decode_body(short.encode(), "text/html; charset=utf-8") == short
    assert decode_body(short.encode(), "application/json") == short
    assert decode_body(b" " * 1024 + meta.format("latin1").encode() + b"\xfc", "text/html").endswith("\ufffd")
    assert decode_body("<meta charset=utf-16>ü".encode(), "text/html").endswith("ü")
    assert decode_body("ü".encode("utf-16"), "text/html; charset=latin1") == "ü"


def test_charset_that_takes_minutes():
    page = b"<meta charset=punycode>" + b"a-" * 800_000
    assert decode_body(page, "text/html; charset=punycode") == page.decode()


@reliability(
    "Messages",
    fault="JSON begins with a byte order mark",
    promise="read as what follows it",
)
def test_json_with_a_byte_order_mark():
    assert first_difference(decode_body('\ufeff{"a": 1}'.encode(), "application/json"), {"a": 1}) == ""
    assert first_difference('\ufeff{"a": 1}', {"a": 1}) == ""


@reliability(
    "Messages",
    fault="a certificate that is not verified is about to expire",
    promise="min_certificate_days is watched with verify = false, too",
)
def test_unverified_certificate_is_watched(run_suite, website):
    tables = [
        table("website", tls, url=website.url(tls=tls), verify=False, min_certificate_days=7)
        for tls in ("expiring", "expired", "self_signed")
    ]
    outcome = run_suite("\n".join(tables))
    assert outcome.message("website_access[expiring]").startswith("certificate expires in 5.")
    assert outcome.message("website_access[expired]").startswith("certificate has expired (on 20")
    assert outcome.checks["website_access[self_signed]"]["status"] == "ok", outcome.output
