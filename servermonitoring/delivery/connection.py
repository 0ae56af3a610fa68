"""HTTP connection for one address: kept open for the next request, closed from another thread at the time limit.

Loaded when there is something to send. It uses http.client, not urllib3: no client's own timeout ends a response that
comes at one byte a second; whoever holds the socket can.
"""

import contextlib
import functools
import http.client
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from servermonitoring.delivery.attempt import DeliveryResponse, NoResponseError, UnreachableError
from servermonitoring.tls import trusted_context

_context = functools.cache(trusted_context)
_MOST_READ = 65536  # bytes of a response


@dataclass(frozen=True)
class PostAddress:
    """URL to send to. It may hold a secret, so its repr hides it."""

    url: str = field(repr=False)
    ca_certs: str | None = None  # PEM file of the only authorities to trust
    method: str = "POST"  # or GET, which has no body

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def path(self) -> str:
        return (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")


class PostConnection:
    """One connection to one address; opened when first used, and again after it was closed."""

    def __init__(self, address: PostAddress) -> None:
        self._address = address
        self._connection: http.client.HTTPConnection | None = None
        self._cut = self._connected = False
        self._path, self._more = "", dict[str, str]()

    def post(self, body: bytes, headers: dict[str, str], timeout: float) -> DeliveryResponse:
        """Send a request and return the response. `timeout`: seconds for each step; `cut()` ends the whole.

        Raise UnreachableError or NoResponseError.
        """
        try:
            try:
                response = self._exchange(body, headers, timeout)
            except (ConnectionResetError, BrokenPipeError):  # most likely closed while unused
                self.close()
                response = self._exchange(body, headers, timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise _in_words(error, connected=self._connected) from None
        if self._cut:  # what was cut off may look like a complete response
            raise NoResponseError("no response in time")
        return response

    def cut(self) -> None:
        """End the request in progress, from another thread; nothing more can be sent."""
        self._cut = True
        sock = getattr(self._connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _exchange(self, body: bytes, headers: dict[str, str], timeout: float) -> DeliveryResponse:
        if self._connection is None or self._connection.sock is None:  # the peer closed it
            self._connected = False
            self._connection, self._path, self._more = _connection(self._address, timeout)
            self._connection.connect()
            self._connected = True
        connection = self._connection
        if self._cut:
            raise TimeoutError
        connection.sock.settimeout(timeout)
        connection.request(self._address.method, self._path, body or None, {**headers, **self._more})
        response = connection.getresponse()
        content = response.read(_MOST_READ)
        if not response.isclosed():  # more than is read
            self.close()
        return DeliveryResponse(
            response.status, {name.lower(): value for name, value in response.getheaders()}, content
        )


def _connection(address: PostAddress, timeout: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """Return an unopened connection, the path to request and headers to add; the last two depend on the proxy."""
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
    """Return the proxy of $https_proxy and its like, unless $no_proxy names the host."""
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
        return UnreachableError(f"certificate not accepted: {error.verify_message}")
    if isinstance(error, socket.gaierror):
        return UnreachableError(f"unknown host name: {error.strerror}")
    if connected and isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return NoResponseError("connection closed before a complete response")
    if isinstance(error, TimeoutError):
        return (NoResponseError if connected else UnreachableError)("no response in time")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return NoResponseError(f"no response: {reason}") if connected else UnreachableError(reason.lower())
