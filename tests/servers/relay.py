"""Stands in front of another server, hands everything on, and misbehaves on request."""

import contextlib
import gzip
import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from tests.servers.server import HOST, free_port

Misbehaviour = Callable[["_Handler", bytes], bool]  # true when the request is dealt with


class Relay:
    """`with Relay(bugsink.dsn) as relay: relay.dsn; relay.answer(429, times=1, headers={"Retry-After": "2"})`."""

    def __init__(self, target: str, tls: Any = None) -> None:
        self.target, self.tls, self.port = urlsplit(target), tls, free_port()
        self.received: list[bytes] = []  # every body that came, unpacked
        self.requests: list[dict[str, str]] = []  # their headers
        self.paths: list[str] = []
        self.connections = 0
        self.delivered = 0  # how many of them were answered by the target
        self.delay = 0.0  # seconds before each answer
        self._misbehave: Misbehaviour = lambda _handler, _body: False
        self._over = threading.Event()  # those that hang may end

    @property
    def dsn(self) -> str:
        """The target's own, but with the address of this one."""
        netloc = f"{self.target.netloc.rpartition('@')[0]}@{HOST}:{self.port}"
        return urlunsplit(self.target._replace(netloc=netloc, scheme="https" if self.tls else "http"))

    def recover(self) -> None:
        """Hand everything on again."""
        self._misbehave = lambda _handler, _body: False

    def answer(
        self, status: int, *, times: float = float("inf"), about: str = "", body: bytes = b"no", **headers: str
    ) -> None:
        """Answer so, to the next `times` requests that hold the text `about`."""
        answer = body
        left = [times]
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        def misbehave(handler: "_Handler", body: bytes) -> bool:
            if left[0] <= 0 or about.encode() not in body:
                return False
            left[0] -= 1
            handler.reply(status, named, answer)
            return True

        self._misbehave = misbehave

    def take(self) -> None:
        """Answer as Sentry does, with the event's id."""

        def misbehave(handler: "_Handler", body: bytes) -> bool:
            event_id = json.loads(body.partition(b"\n")[0]).get("event_id")
            handler.reply(200, {}, json.dumps({"id": event_id}).encode())
            return True

        self._misbehave = misbehave

    def hang(self, about: str = "") -> None:
        """Take what holds this text, and never answer."""

        def misbehave(_handler: "_Handler", body: bytes) -> bool:
            return about.encode() in body and self._over.wait()

        self._misbehave = misbehave

    def drip(self) -> None:
        """Answer by one letter each half second, without end."""

        def misbehave(handler: "_Handler", _body: bytes) -> bool:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Never-Ends: ")
            while not self._over.wait(0.5):
                handler.wfile.write(b"x")
            return True

        self._misbehave = misbehave

    def misbehaves(self, handler: "_Handler", body: bytes) -> bool:
        return self._over.wait(self.delay) or self._misbehave(handler, body)

    def stop(self) -> None:
        """From now on the connection is refused."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def start(self) -> Self:
        self._over.clear()
        self._server = _Server((HOST, self.port), _Handler)
        self._server.relay = self
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.server.relay.connections += 1
        super().setup()

    def do_POST(self) -> None:
        relay: Relay = self.server.relay
        body = self.rfile.read(int(self.headers["Content-Length"]))
        packed = self.headers["Content-Encoding"] == "gzip"
        relay.received.append(gzip.decompress(body) if packed else body)
        relay.requests.append(dict(self.headers))
        relay.paths.append(self.path)
        with contextlib.suppress(OSError):  # the client went away
            if not relay.misbehaves(self, relay.received[-1]):
                status, answer = self._hand_on(relay, body)
                relay.delivered += 1
                self.reply(status, {}, answer)

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _hand_on(self, relay: Relay, body: bytes) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection(HOST, relay.target.port, timeout=60)) as connection:
            connection.request("POST", self.path, body, dict(self.headers))
            response = connection.getresponse()
            return response.status, response.read()

    def log_message(self, *_: object) -> None:
        pass
