"""Sends requests to a web server: bounded in time and size, with one message for each fault.

On top of requests: nothing of the environment is used (.netrc, proxies), the body of a redirect is not read, secrets
go to no other origin, and a body is read as it arrives.
"""

import http.client
import ssl
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self
from urllib.parse import urljoin

import requests
import urllib3.exceptions
from requests.utils import get_auth_from_url

from healthchecks import ProbeTimeout, Unhealthy, metric, remaining
from healthchecks.clients.certificate import Certificate, describe_verification_error
from healthchecks.clients.connection import (
    ConnectionStep,
    Progress,
    describe_failed_connection,
    first_bytes,
)
from healthchecks.clients.handshake import describe_tls_error, presented_chain
from healthchecks.clients.http.body import Unpacker, decode_body
from healthchecks.clients.http.options import WebKeys
from healthchecks.clients.http.transport import Trace, WebSession
from healthchecks.clients.http.urls import address, http_url, origin, redacted, same_origin
from servermonitoring import clock
from servermonitoring.values import size_in_words

_PART = 65536  # bytes read at a time
_KEEPS_METHOD = (307, 308)
_CLIENT_ERRORS = (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, UnicodeError)
"""All errors that a request raises; those of requests are OSErrors."""
_TIMEOUTS = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
_CUT_BODY = (http.client.IncompleteRead, urllib3.exceptions.IncompleteRead)
_PHASES = {
    ConnectionStep.RESOLVE: "dns",
    ConnectionStep.CONNECT: "connect",
    ConnectionStep.TLS: "tls",
    ConnectionStep.RESPONSE: "first byte",
    ConnectionStep.HEADERS: "body",
    ConnectionStep.BODY: "body",
}


@dataclass(frozen=True)
class Request:
    """One request; `body` has the keyword arguments of requests: data, files or params."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    body: dict[str, Any] = field(default_factory=dict)
    body_name: str = "body"
    """Name of the body in messages."""

    @property
    def confidential_parts(self) -> list[str]:
        """Names of the parts that may go to the configured origin only."""
        parts = {"password": self.login, "request headers": self.headers, self.body_name: self.body}
        return [name for name, part in parts.items() if part]

    def redirected(self, status: int, url: str) -> "Request":
        """Return the request that a browser sends after this redirect."""
        if status in _KEEPS_METHOD or self.method == "HEAD":
            body = {way: part for way, part in self.body.items() if way != "params"}  # they are in the new URL
            return replace(self, url=url, body=body)
        return replace(self, url=url, method="GET", body={}, headers=_of_no_body(self.headers))


@dataclass(frozen=True)
class Response:
    """The response after all redirects; `certificate` is None without TLS."""

    status: int
    reason: str
    url: str
    headers: requests.structures.CaseInsensitiveDict[str]
    body: bytes
    duration: float
    """In seconds, redirects included."""
    certificate: Certificate | None
    via: str = ""
    """The first URL, where it redirected to this one."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds in each phase that there was, of all requests of the client until then."""

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the body once, and not its text as well."""
        return {name: value for name, value in vars(self).items() if name != "text"}

    @property
    def location(self) -> str:
        """The URL for messages, with the one that redirected to it."""
        return redacted(self.url) + (f" (redirected from {self.via})" if self.via else "")

    @cached_property
    def text(self) -> str:
        """The body, decoded as by a browser."""
        return decode_body(self.body, self.headers.get("Content-Type", ""))

    @property
    def status_line(self) -> str:
        """The status for messages: 503 Service Unavailable."""
        return f"{self.status} {self.reason}".strip()

    def report(self, seconds: float, limit: float | None, max_body: float) -> None:
        """Report the response time, in seconds and with its limit, its phases, and the size with its limit in bytes."""
        metric("response time", seconds, "seconds", limit=limit)
        for name, each in self.phases.items():
            metric(name, each, "seconds")
        metric("body size", len(self.body), "bytes", limit=max_body)


class Client:
    """`with Client(target) as client: client.send(Request(url))`; cookies are kept."""

    def __init__(self, keys: WebKeys) -> None:
        self.keys = keys
        self._trace = Trace()
        self._session = WebSession(keys, self._trace)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def send(self, request: Request) -> Response:
        """Return the response, whatever its status. Raise Unhealthy where there is none."""
        started = clock.monotonic()
        request = replace(request, login=request.login or _login_in(request.url))
        first, via = request.url, ""
        for _ in range(self.keys.max_redirects + 1):
            try:
                with self._send(request, via) as response:
                    target = _redirect(response)
                    if not target or not self.keys.max_redirects:
                        return self._response(response, request.url, via, started)
            except _CLIENT_ERRORS as error:
                raise _translate(error, self._trace.progress, request.url) from None
            _raise_if_overdue()
            via = redacted(first)
            request = request.redirected(response.status_code, target)
        raise Unhealthy(f"more than {self.keys.max_redirects} redirects, last to {redacted(request.url)}")

    def _send(self, request: Request, via: str) -> requests.Response:
        self._refuse_other_origin(request)
        self._trace.begin(request.url, via)
        login = _in_utf8(request.login)
        body = {"params": "", **request.body}  # requests would look what kind of object its own default is
        plain = requests.Request(request.method, request.url, request.headers, auth=login, **body)
        return self._session.send(plain, remaining())

    def _refuse_other_origin(self, request: Request) -> None:
        """Raise Unhealthy, before anything is sent, where a form or redirect would send secrets to another origin."""
        parts = request.confidential_parts
        known = same_origin(self.keys.url, request.url) or origin(request.url) in self.keys.allowed_origins
        if parts and not known:
            raise Unhealthy(
                f"the {' and '.join(parts)} would go to {origin(request.url)} instead of {origin(self.keys.url)}: "
                f"nothing was sent; if it is right, add it to allowed_origins"
            )

    def _response(self, response: requests.Response, url: str, via: str, started: float) -> Response:
        body = _read(response, self.keys.max_body, self._trace.progress.peer)
        self._trace.times.begin(None)
        duration = clock.monotonic() - started
        certificate, phases = self._trace.certificate_of(url), _phases(self._trace.times.seconds)
        return Response(
            response.status_code, response.reason, url, response.headers, body, duration, certificate, via, phases
        )


def _phases(seconds: Mapping[ConnectionStep, float]) -> Mapping[str, float]:
    """Return the seconds by phase, in the order of the phases; one that there was not is left out."""
    phases: dict[str, float] = {}
    for step, name in _PHASES.items():
        if step in seconds:
            phases[name] = phases.get(name, 0.0) + seconds[step]
    return phases


def _read(response: requests.Response, most: int, peer: str) -> bytes:
    """Return the body, read as it arrives: a read that waits for a full part would not notice the timeout."""
    too_large = Unhealthy(f"body is larger than {size_in_words(most)}")
    if (response.raw.length_remaining or 0) > most:  # by its Content-Length
        raise too_large
    unpacker = Unpacker(response.headers.get("Content-Encoding", ""), most)
    body = bytearray()
    while part := response.raw.read1(_PART, decode_content=False):
        try:
            body += unpacker.add(part)
        except zlib.error:
            raise Unhealthy(f"body cannot be decompressed at {peer}") from None
        if len(body) > most:
            body.clear()  # the traceback of the error keeps this frame alive
            raise too_large
        _raise_if_overdue()
    if unpacker.is_cut:
        raise Unhealthy(f"compressed body is incomplete at {peer}")
    return bytes(body)


def _redirect(response: requests.Response) -> str:
    """Return the target of a redirect; empty where it is none. Raise Unhealthy for an invalid target."""
    location = response.headers.get("Location", "") if response.is_redirect else ""
    if not location:
        return ""
    try:
        target = urljoin(response.url, location.encode("latin-1").decode(errors="replace"))
        return http_url(requests.utils.requote_uri(target))
    except ValueError:  # requests' InvalidURL is one, too
        where = first_bytes(location.encode("latin-1"), 200)
        raise Unhealthy(f"redirect to an invalid URL, {where}, from {redacted(response.url)}") from None


def _login_in(url: str) -> tuple[str, str] | None:
    login = get_auth_from_url(url)
    return login if any(login) else None


def _in_utf8(login: tuple[str, str] | None) -> tuple[str, str] | None:
    """Return the login so that requests, which encodes as Latin-1, sends UTF-8 as browsers do."""
    return (login[0].encode().decode("latin-1"), login[1].encode().decode("latin-1")) if login else None


def _of_no_body(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.lower().startswith("content-")}


def _raise_if_overdue() -> None:
    if remaining() <= 0.001:  # noqa: PLR2004 - what remaining() never goes below
        raise ProbeTimeout


def _translate(error: BaseException, progress: Progress, url: str) -> Unhealthy:
    """Return the exception to raise instead, by the first cause with a known message."""
    causes = list(_causes(error))
    for describe in (_of_connection, _of_protocol):
        for cause in causes:
            if message := describe(cause, progress, url):
                return Unhealthy(message)
    if any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return ProbeTimeout()
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno and (message := describe_failed_connection(cause, progress)):
            return Unhealthy(message)
    return Unhealthy(f"{type(error).__name__} at {progress.peer}")


def _of_connection(cause: BaseException, progress: Progress, url: str) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        host, port = address(url)
        words = describe_verification_error(cause, host, presented_chain(host, port))
        return words + (f" at {progress.peer}" if progress.via else "")
    if isinstance(cause, _CUT_BODY):
        return progress.closed_message
    return describe_tls_error(cause, progress)


def _of_protocol(cause: BaseException, progress: Progress, _url: str) -> str:
    if isinstance(cause, requests.exceptions.InvalidURL):
        return f"not an HTTP URL: {progress.peer}"
    if isinstance(cause, http.client.HTTPException | requests.exceptions.InvalidHeader):
        return f"response is not HTTP at {progress.peer}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes; urllib3 and requests keep them in different attributes."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
            waiting += [one for one in inner if isinstance(one, BaseException)]
