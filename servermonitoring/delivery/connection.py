"""A connection that POSTs, is kept open for the next, and can be cut from another thread.

Loaded when there is something to send. By http.client rather than urllib3: no time limit of a client's own ends an
answer that comes by one byte a second; whoever holds the socket can.
"""

import contextlib
import functools
import http.client
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from servermonitoring.delivery.responses import Answer, UnansweredError, UnreachableError
from servermonitoring.tls import trusted_context

_context = functools.cache(trusted_context)
_MOST_READ = 65536  # bytes of an answer


@dataclass(frozen=True)
class Address:
    """Where to POST. The URL may hold a secret: it never shows."""

    url: str = field(repr=False)
    ca_certs: str | None = None  # a file of certificates to trust instead of certifi's and the system's

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def path(self) -> str:
        return (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")


class Line:
    """One connection to one address; made when first used, and anew when it was closed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: http.client.HTTPConnection | None = None
        self._cut = self._connected = False
        self._path, self._more = "", dict[str, str]()

    def post(self, body: bytes, headers: dict[str, str], timeout: float) -> Answer:
        """Send, and read the answer. `timeout`: seconds for each step; `cut()` ends what takes longer.

        Raises UnreachableError and UnansweredError.
        """
        try:
            try:
                answer = self._exchange(body, headers, timeout)
            except (ConnectionResetError, BrokenPipeError):  # most likely closed while nobody used it
                self.close()
                answer = self._exchange(body, headers, timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise _in_words(error, connected=self._connected) from None
        if self._cut:  # what was cut off may look like a whole answer
            raise UnansweredError("no answer in the time there was")
        return answer

    def cut(self) -> None:
        """End what is under way, from another thread; nothing more can be sent."""
        self._cut = True
        sock = getattr(self._connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _exchange(self, body: bytes, headers: dict[str, str], timeout: float) -> Answer:
        if self._connection is None or self._connection.sock is None:  # the other side wanted it closed
            self._connected = False
            self._connection, self._path, self._more = _connection(self._address, timeout)
            self._connection.connect()
            self._connected = True
        connection = self._connection
        if self._cut:
            raise TimeoutError
        connection.sock.settimeout(timeout)
        connection.request("POST", self._path, body, {**headers, **self._more})
        response = connection.getresponse()
        content = response.read(_MOST_READ)
        if not response.isclosed():  # more than anybody wants to read
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)


def _connection(address: Address, timeout: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """Not yet connected; with the path to ask for and headers to add, which a proxy may want."""
    parts = address.parts
    host, port, path = parts.hostname or "", parts.port, address.path
    proxy = _proxy(parts)
    via = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port)
    if parts.scheme == "https":
        secured = http.client.HTTPSConnection(*via, timeout=timeout, context=_context(address.ca_certs))
        if proxy:
            secured.set_tunnel(host, port or 443, _proxy_login(proxy))
        return secured, path, {}
    if proxy:
        name = parts.netloc.rpartition("@")[2]
        return http.client.HTTPConnection(*via, timeout=timeout), f"http://{name}{path}", _proxy_login(proxy)
    return http.client.HTTPConnection(*via, timeout=timeout), path, {}


def _proxy(parts: SplitResult) -> SplitResult | None:
    """The one that $https_proxy and its like name, if this host is not among $no_proxy."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    url = proxies.get(parts.scheme) or proxies.get("all")
    if not url or proxy_bypass(parts.hostname or ""):
        return None
    return urlsplit(url if "://" in url else f"http://{url}")


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {b64encode(login).decode()}"}


def _in_words(error: Exception, *, connected: bool) -> Exception:
    if isinstance(error, ssl.SSLCertVerificationError):
        return UnreachableError(f"its certificate is not accepted: {error.verify_message}")
    if isinstance(error, socket.gaierror):
        return UnreachableError(f"its name is not known: {error.strerror}")
    if connected and isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return UnansweredError("the connection was closed without a whole answer")
    if isinstance(error, TimeoutError):
        return (UnansweredError if connected else UnreachableError)("no answer in time")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return UnansweredError(f"no answer: {reason}") if connected else UnreachableError(reason.lower())
