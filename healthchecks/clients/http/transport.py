"""Connections of requests: they end at the timeout, and accept the responses that browsers accept."""

import http.client
import re
import socket
import ssl
from email.parser import Parser
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from healthchecks import Unhealthy
from healthchecks.clients.certificate import Certificate, context
from healthchecks.clients.connection import ConnectionStep, Progress, StepTimes, connect, first_bytes
from healthchecks.clients.http.options import WebKeys
from healthchecks.clients.http.urls import address
from servermonitoring.values import size_in_words

_MOST_INTERIM = 20
_MOST_HEADERS = 1_000
_MOST_BYTES = 262_144  # of all headers together, as Chromium has it
_SWITCHING_PROTOCOLS, _FIRST_FINAL = 101, 200
_NO_BODY = (204, 304)
_LENGTH = re.compile(r"\d{1,19}", re.ASCII)
_HEADER = re.compile(rb"[!-9;-~]+:[^\r\n]*\r?\n")  # in one line, as in RFC 9112, section 5


class HttpResponse(http.client.HTTPResponse):
    """A response as browsers accept it. Raise Unhealthy for anything else."""

    def __init__(self, progress: Progress, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self._progress = progress

    def begin(self) -> None:
        if self.headers is not None:
            return
        version, self.status, reason = self._read_status()
        self.code, self.reason = self.status, reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = self._read_headers()
        self.chunked = (self.headers.get("transfer-encoding") or "").lower() == "chunked"
        self.chunk_left = None
        self.will_close = self._check_close()
        has_body = self.status not in _NO_BODY and self.status >= _FIRST_FINAL and self._method != "HEAD"
        self.length = self._content_length() if has_body else 0
        self.will_close = self.will_close or (not self.chunked and self.length is None)
        self._progress.at(ConnectionStep.BODY)

    def _read_status(self) -> tuple[str, int, str]:
        """Return the final status; http.client calls this for tunnels as well."""
        for _ in range(_MOST_INTERIM + 1):
            begin = self.fp.peek(1)[:200]
            try:
                version, status, reason = super()._read_status()  # type: ignore[misc]
            except http.client.RemoteDisconnected:
                raise Unhealthy(self._progress.closed_message) from None
            except http.client.HTTPException:
                raise self._no_http(begin) from None
            if not version.startswith(("HTTP/1.", "HTTP/0.9")):
                raise self._no_http(begin)
            self._progress.at(ConnectionStep.HEADERS, status)
            if status >= _FIRST_FINAL or status == _SWITCHING_PROTOCOLS:
                return version, status, reason
            self._read_headers()
        raise Unhealthy(f"more than {_MOST_INTERIM} interim responses (1xx) at {self._progress.peer}")

    def _read_headers(self) -> http.client.HTTPMessage:
        lines: list[bytes] = []
        size = 0
        while True:
            line = self.fp.readline(_MOST_BYTES + 1 - size)
            size += len(line)
            if not line:
                raise Unhealthy(self._progress.closed_message)
            if size > _MOST_BYTES:
                raise Unhealthy(f"more than {size_in_words(_MOST_BYTES)} of headers at {self._progress.peer}")
            if line in (b"\r\n", b"\n"):
                return _parsed(lines)
            lines.append(line)
            if len(lines) > _MOST_HEADERS:
                raise Unhealthy(f"more than {_MOST_HEADERS} headers at {self._progress.peer}")

    def _content_length(self) -> int | None:
        found = {each.strip() for value in self.headers.get_all("content-length", []) for each in value.split(",")}
        if self.chunked or not found:
            return None
        if len(found) == 1 and _LENGTH.fullmatch(length := found.pop()):
            return int(length)
        shown = first_bytes((self.headers["content-length"] or "").encode())
        raise Unhealthy(f"invalid Content-Length {shown} at {self._progress.peer}")

    def _no_http(self, begin: bytes) -> Unhealthy:
        return Unhealthy(f"response is not HTTP at {self._progress.peer}: {first_bytes(begin)}")


def _parsed(lines: list[bytes]) -> http.client.HTTPMessage:
    """Return the headers. Of lines in their proper form it is what the parser makes, at a tenth of its price."""
    if not all(map(_HEADER.fullmatch, lines)):
        return Parser(_class=http.client.HTTPMessage).parsestr(b"".join(lines).decode("latin-1"))
    headers = http.client.HTTPMessage()
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        headers.set_raw(name, value.lstrip(" \t").rstrip("\r\n"))
    return headers


_PLAIN_HEADERS = {"User-Agent": "servermonitoring", "Accept": "*/*"}


class Trace:
    """Progress of the newest connection of a client, the times of all of them, and the certificates of its servers."""

    def __init__(self) -> None:
        self.times = StepTimes()
        self.progress = Progress("", 0)
        self.certificates: dict[str, Certificate | None] = {}

    def certificate_of(self, url: str) -> Certificate | None:
        return self.certificates.get(urlsplit(url).hostname or "")

    def begin(self, url: str, via: str) -> None:
        """Start a request, on an open connection or a new one; `via` redirected to it."""
        self.progress = Progress(*address(url), via=via, times=self.times)
        self.progress.at(ConnectionStep.RESPONSE)
        self.times.begin(None)  # until there is a connection, only the client works

    def connecting(self, host: str, port: int) -> Progress:
        """Start a connection to this host, which may be a proxy."""
        self.progress = Progress(host, port, via=self.progress.via, times=self.times)
        return self.progress


class WebSession:
    """Connections and cookies of one client. Nothing of the environment is used, and no redirect is followed.

    In the place of requests.Session, which costs as much as all the rest: it merges settings of three origins.
    """

    def __init__(self, keys: WebKeys, trace: Trace) -> None:
        self._adapter = _Adapter(keys, trace)
        self._proxies = {"http": keys.proxy, "https": keys.proxy} if keys.proxy else {}
        self._cookies = RequestsCookieJar()

    def send(self, request: requests.Request, timeout: float) -> requests.Response:
        """Return the response, whose body is not read yet. Raise one of the errors of requests."""
        headers = CaseInsensitiveDict(_PLAIN_HEADERS)
        headers.update(request.headers)
        request.headers, request.cookies = headers, self._cookies
        prepared = request.prepare()
        response = self._adapter.send(prepared, stream=True, timeout=timeout, proxies=self._proxies)
        extract_cookies_to_jar(self._cookies, prepared, response.raw)  # type: ignore[no-untyped-call]
        return response

    def close(self) -> None:
        self._adapter.close()


class _Adapter(HTTPAdapter):
    def __init__(self, keys: WebKeys, trace: Trace) -> None:
        self._keys = keys
        self._pools = {"http": partial(_PlainPool, trace), "https": partial(_SecuredPool, trace)}
        super().__init__(pool_maxsize=1)  # requests of a client follow each other

    def init_poolmanager(self, *args: Any, **keys: Any) -> None:
        super().init_poolmanager(*args, **keys)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **keys: Any) -> Any:
        if proxy[:6].lower() == "https:":  # for others only the pool of an https target needs the authorities
            keys |= dict.fromkeys(("ssl_context", "proxy_ssl_context"), self._context())
        manager = super().proxy_manager_for(proxy, **keys)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context has the authorities, loaded once."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context()} if host["scheme"] == "https" else {}

    def _context(self) -> ssl.SSLContext:
        return context(verify=self._keys.verify, ca=self._keys.ca)


class _Connection(HTTPConnection):
    trace: Trace
    """Set by the pool, before the connection is used."""

    def _new_conn(self) -> socket.socket:
        then = ConnectionStep.TLS if isinstance(self, HTTPSConnection) else ConnectionStep.RESPONSE
        return connect(self.trace.connecting(self.host.strip("[]"), self.port), then, self.socket_options or ())

    def getresponse(self) -> Any:
        self.trace.progress.at(ConnectionStep.RESPONSE)
        self.response_class = partial(HttpResponse, self.trace.progress)  # type: ignore[assignment]  # it is called, no more
        return super().getresponse()


class _SecuredConnection(_Connection, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.trace.progress.at(ConnectionStep.RESPONSE)
        self.trace.certificates[self.host] = Certificate.of(self.sock)  # type: ignore[arg-type]


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Connection

    def __init__(self, trace: Trace, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self._trace = trace

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        connection.trace = self._trace
        return connection


class _SecuredPool(_PlainPool, HTTPSConnectionPool):
    ConnectionCls = _SecuredConnection
