"""TCP connections: the progress of a client, and one message for each fault in all kinds of checks."""

import encodings.idna  # noqa: F401 - the first name or address that is resolved would wait for it
import enum
import errno
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from healthchecks import ProbeTimeout, Unhealthy, on_timeout, phase, remaining
from healthchecks.clients.http.urls import peer_of
from servermonitoring import clock
from servermonitoring.scrubbing import scrub_and_cut


class ConnectionStep(enum.Enum):
    """What a client waits for: the message at the timeout, and the one where the connection ends."""

    RESOLVE = "could not resolve HOST", "cannot resolve HOST"
    CONNECT = "could not connect to PEER", "connection refused at PEER"
    TLS = "connected to PEER, TLS handshake incomplete", "connection closed during the TLS handshake at PEER"
    RESPONSE = "connected to PEER, no response", "connection closed without a response at PEER"
    GREETING = "connected to PEER, no greeting", "connection closed without a greeting at PEER"
    STARTTLS = "connected to PEER, no response to STARTTLS", "connection closed before TLS at PEER"
    HEADERS = "status STATUS from PEER, headers incomplete", "connection closed before the end of the headers at PEER"
    BODY = "status STATUS from PEER, body incomplete", "connection closed before the end of the body at PEER"
    LOGGED_IN = "logged in to PEER, no response", "connection closed after the login at PEER"


class StepTimes:
    """Seconds in each step, added up over all connections of a client."""

    def __init__(self) -> None:
        self.seconds: dict[ConnectionStep, float] = {}
        self._step: ConnectionStep | None = None
        self._since = 0.0

    def begin(self, step: ConnectionStep | None) -> None:
        """End the step before, and begin this one; with None there is no next one."""
        now = clock.monotonic()
        if self._step is not None:
            self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = step, now


@dataclass
class Progress:
    """`progress.at(ConnectionStep.TLS)` before each step; the timeout of the check then says where it was."""

    host: str
    port: int | str
    step: ConnectionStep = ConnectionStep.RESOLVE
    status: int = 0
    """HTTP status, once it was received."""
    via: str = ""
    """The URL that redirected there."""
    times: StepTimes = field(default_factory=StepTimes)

    def at(self, step: ConnectionStep, status: int = 0) -> None:
        self.step = step
        self.times.begin(step)
        self.status = status or self.status
        phase(self.timeout_message)

    @cached_property
    def peer(self) -> str:
        """Host and port for messages, and which URL redirected there."""
        return peer_of(self.host, self.port) + (f" (redirected from {self.via})" if self.via else "")

    @property
    def timeout_message(self) -> str:
        """Message for the timeout, to be followed by the time: "within 10 s"."""
        return self._filled(self.step.value[0])

    @property
    def closed_message(self) -> str:
        """Message for a connection that ends here, however it ends."""
        return self._filled(self.step.value[1])

    def _filled(self, text: str) -> str:
        return text.replace("STATUS", str(self.status)).replace("PEER", self.peer).replace("HOST", self.host)


CLOSED = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
"""Errors for a connection that the peer ended."""
_NO_ROUTE = {
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENONET,
    errno.EINVAL,  # what a blackhole route gives
}  # fmt: skip


def connect(
    progress: Progress, then: ConnectionStep, options: Iterable[tuple[int, int, int | bytes]] = ()
) -> socket.socket:
    """Return a socket connected to the first address of the host that accepts; it is shut down at the timeout.

    `then` is the next step, `options` are those of setsockopt. Raise Unhealthy, or ProbeTimeout at the timeout.
    """
    progress.at(ConnectionStep.RESOLVE)
    try:
        addresses = socket.getaddrinfo(progress.host, progress.port, type=socket.SOCK_STREAM)
        progress.at(ConnectionStep.CONNECT)
        connection = _first_of(addresses, options)
    except TimeoutError:
        raise ProbeTimeout from None
    except CLOSED:  # accepted, and ended before connect() returned
        progress.at(then)
        raise Unhealthy(progress.closed_message) from None
    except (OSError, UnicodeError) as error:
        raise Unhealthy(describe_failed_connection(error, progress)) from None
    progress.at(then)
    on_timeout(partial(shut_down, connection))
    return connection


def describe_failed_connection(error: OSError | UnicodeError, progress: Progress) -> str:
    """Return a message for a failed connection; empty for any other error."""
    if isinstance(error, socket.gaierror | UnicodeError):
        silent = " (no response from the name server)" if getattr(error, "errno", 0) == socket.EAI_AGAIN else ""
        return f"cannot resolve {progress.host}{silent}"
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused at {progress.peer}"
    if error.errno in _NO_ROUTE:
        return f"no route to {progress.peer}"
    return f"{error.strerror[0].lower()}{error.strerror[1:]} at {progress.peer}" if error.strerror else ""


def is_closed_by_peer(error: BaseException) -> bool:
    """Return whether the peer ended the connection; OpenSSL has several errors for that, by version and moment."""
    unexpected = isinstance(error, ssl.SSLError) and error.reason == "UNEXPECTED_EOF_WHILE_READING"
    return unexpected or isinstance(error, (*CLOSED, ssl.SSLEOFError, ssl.SSLZeroReturnError))


def shut_down(connection: Any) -> None:
    """End the wait of another thread for this connection: a peer that sends single bytes meets no socket timeout."""
    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # SSLSocket's own would remove TLS under a reader


def _first_of(addresses: list[Any], options: Iterable[tuple[int, int, int | bytes]]) -> socket.socket:
    failed: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            for option in options:
                connection.setsockopt(*option)
            connection.settimeout(remaining())
            connection.connect(address)
        except OSError as error:
            connection.close()
            failed = error
        else:
            return connection
    raise failed or OSError(errno.EADDRNOTAVAIL, "No address")


_MOST_READ = 1_000  # bytes that are searched


def first_bytes(data: bytes, most: int = 60) -> str:
    """Return the first line in quotes, escaped as in Python: 'SSH-2.0-OpenSSH_9.2'."""
    line = data[:_MOST_READ].strip().partition(b"\n")[0].rstrip()
    return repr(scrub_and_cut(line.decode(errors="replace"), most))
