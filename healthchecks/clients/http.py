"""Asks a web server, and comes back: in time, with a bounded answer, or with what is wrong in clear words.

What requests leaves open is closed here: nothing of the environment is used (.netrc, proxies), a redirect is
followed without its body being read, credentials go to no other server, and the body is read as it arrives.
"""

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from healthchecks import NoAnswer, Unhealthy, on_timeout, remaining
from healthchecks.clients.addresses import http_url, same_origin, shown
from healthchecks.clients.certificate import Certificate, break_off, context
from healthchecks.clients.failures import CLIENT_ERRORS, told
from healthchecks.clients.keys import WebKeys
from servermonitoring.values import in_words, size_in_words

_PART = 65536  # bytes read at a time
_KEEPS_METHOD = (307, 308)
_PLAIN_HEADERS = {"User-Agent": "servermonitoring", "Accept": "*/*"}


@dataclass(frozen=True)
class Question:
    """One request; `body` is what requests takes it as: data, files or params."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    body: dict[str, Any] = field(default_factory=dict)

    def redirected(self, status: int, url: str) -> "Question":
        """The next one: as browsers ask it, and without credentials where it leads to another server."""
        keeps = status in _KEEPS_METHOD or self.method == "HEAD"
        next_one = self if keeps else replace(self, method="GET", body={}, headers=_of_no_body(self.headers))
        if not same_origin(self.url, url):
            next_one = replace(next_one, headers={}, login=None)
        return replace(next_one, url=url)


@dataclass(frozen=True)
class Answer:
    """What came back in the end; `certificate` is None without TLS, or where it was not verified."""

    status: int
    reason: str
    url: str
    headers: requests.structures.CaseInsensitiveDict[str]
    body: bytes
    seconds: float
    certificate: Certificate | None

    @property
    def text(self) -> str:
        """By the charset that is given; else UTF-8, which requests would take for Latin-1."""
        charset = requests.utils.get_encoding_from_headers(self.headers)
        given = "charset" in self.headers.get("Content-Type", "").lower()
        try:
            return self.body.decode(charset if given and charset else "utf-8", errors="replace")
        except (LookupError, UnicodeError):  # a charset that nobody knows, or that is none of text
            return self.body.decode(errors="replace")

    @property
    def words(self) -> str:
        """The status for messages: 503 Service Unavailable."""
        return f"{self.status} {self.reason}".strip()


class Client:
    """`with Client(target, deadline) as client: client.ask(Question(url))`; cookies are kept from one to the next."""

    def __init__(self, keys: WebKeys, deadline: float) -> None:
        self.keys = keys
        self._late = f"no answer within {in_words(deadline)}"
        self._adapter = _Adapter(keys)
        self._session = _session(self._adapter, keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def ask(self, question: Question) -> Answer:
        """Raises Unhealthy for everything that is not an answer; any status is one."""
        started = time.monotonic()
        question = replace(question, login=question.login or _login_in(question.url))
        for _ in range(self.keys.redirects + 1):
            try:
                with self._send(question) as response:
                    target = _redirect(response)
                    if not target or not self.keys.redirects:
                        return self._answer(response, question.url, started)
            except CLIENT_ERRORS as error:
                raise told(error, question.url, self.keys.ca, self._late) from None
            _look_at_the_clock(self._late)
            question = question.redirected(response.status_code, target)
        raise Unhealthy(f"redirected more than {self.keys.redirects} times, last to {shown(question.url)}")

    def _send(self, question: Question) -> requests.Response:
        return self._session.request(
            question.method, question.url, headers=question.headers, auth=_in_utf8(question.login),
            timeout=remaining(), allow_redirects=False, stream=True, **question.body,
        )  # fmt: skip

    def _answer(self, response: requests.Response, url: str, started: float) -> Answer:
        body = _read(response, self.keys.max_body, self._late)
        certificate = self._adapter.certificates.get(urlsplit(url).hostname or "")
        seconds = time.monotonic() - started
        return Answer(response.status_code, response.reason, url, response.headers, body, seconds, certificate)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests' own signature
        """None: requests would read the whole body of a redirect, however long, before it lets us look."""
        return None


class _Adapter(HTTPAdapter):
    """Connections that can be broken off, and that remember the certificate they have seen."""

    def __init__(self, keys: WebKeys) -> None:
        self.certificates: dict[str, Certificate | None] = {}
        self._context = context(verify=keys.verify, ca=keys.ca)
        super().__init__()

    def init_poolmanager(self, *args: Any, **keys: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **keys)
        self.poolmanager.pool_classes_by_scheme = _pools(self.certificates)

    def proxy_manager_for(self, proxy: str, **keys: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **{"ssl_context": self._context, **keys})
        manager.pool_classes_by_scheme = _pools(self.certificates)
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to do: the context says what is trusted, and was loaded once for all."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}


def _pools(certificates: dict[str, Certificate | None]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            on_timeout(partial(break_off, self.sock))

    class Secured(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            certificates[self.host] = Certificate.of(self.sock.getpeercert())  # type: ignore[union-attr]

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecuredPool(HTTPSConnectionPool):
        ConnectionCls = Secured

    return {"http": PlainPool, "https": SecuredPool}


def _session(adapter: _Adapter, keys: WebKeys) -> requests.Session:
    session = _Session()
    session.trust_env = False
    session.headers.clear()
    session.headers.update(_PLAIN_HEADERS)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    if keys.proxy:
        session.proxies = {"http": keys.proxy, "https": keys.proxy}
    return session


def _read(response: requests.Response, most: int, late: str) -> bytes:
    """The body as it arrives: a read that waits until its part is full would never look at the clock."""
    too_large = Unhealthy(f"body is larger than {size_in_words(most)}")
    if (response.raw.length_remaining or 0) > most:  # by its header: nothing has to be read
        raise too_large
    body = bytearray()
    while part := response.raw.read1(_PART, decode_content=True):
        body += part
        if len(body) > most:
            body.clear()  # the error that tells it keeps this frame, and all that is in it
            raise too_large
        _look_at_the_clock(late)
    return bytes(body)


def _redirect(response: requests.Response) -> str:
    """Where it leads, or nothing. Raises Unhealthy for what cannot be followed."""
    location = response.headers.get("Location", "") if response.is_redirect else ""
    if not location:
        return ""
    try:
        target = urljoin(response.url, location.encode("latin-1").decode(errors="replace"))
        return http_url(requests.utils.requote_uri(target))
    except ValueError:  # requests' InvalidURL is one, too
        raise Unhealthy(f"redirected to something that is no web page, by {shown(response.url)}") from None


def _login_in(url: str) -> tuple[str, str] | None:
    login = get_auth_from_url(url)
    return login if any(login) else None


def _in_utf8(login: tuple[str, str] | None) -> tuple[str, str] | None:
    """So that requests, which writes Latin-1, writes UTF-8: as browsers do."""
    return (login[0].encode().decode("latin-1"), login[1].encode().decode("latin-1")) if login else None


def _of_no_body(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.lower().startswith("content-")}


def _look_at_the_clock(late: str) -> None:
    if remaining() <= 0.001:  # noqa: PLR2004 - what remaining() never goes below
        raise NoAnswer(late)
