"""TCP connections, and what is wrong where there is none: one spelling for all kinds of checks."""

import errno
import socket
import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any

from healthchecks import ProbeTimeout, Unhealthy, on_timeout, remaining
from healthchecks.clients.progress import Progress, Step

CLOSED = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
"""How the system names a connection that the other side ended."""

_NO_ROUTE = {
    errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENONET,
    errno.EINVAL,  # what a blackhole route gives
}  # fmt: skip


def connect(progress: Progress, then: Step, options: Iterable[tuple[int, int, int | bytes]] = ()) -> socket.socket:
    """Return a socket connected to the first address of the host that accepts; it is broken off at the timeout.

    `then` is the next step, `options` are those of setsockopt. Raise Unhealthy, or ProbeTimeout at the timeout.
    """
    progress.at(Step.RESOLVE)
    try:
        addresses = socket.getaddrinfo(progress.host, progress.port, type=socket.SOCK_STREAM)
        progress.at(Step.CONNECT)
        connection = _first_of(addresses, options)
    except TimeoutError:
        raise ProbeTimeout from None
    except CLOSED:  # accepted, and ended before connect() returned
        progress.at(then)
        raise Unhealthy(progress.closed) from None
    except (OSError, UnicodeError) as error:
        raise Unhealthy(not_connected(error, progress)) from None
    progress.at(then)
    on_timeout(partial(break_off, connection))
    return connection


def not_connected(error: OSError | UnicodeError, progress: Progress) -> str:
    """What is wrong, for a person on call; empty for an error that is not about connecting."""
    if isinstance(error, socket.gaierror | UnicodeError):
        silent = " (its name server gives no answer)" if getattr(error, "errno", 0) == socket.EAI_AGAIN else ""
        return f"cannot resolve {progress.host}{silent}"
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused at {progress.peer}"
    if error.errno in _NO_ROUTE:
        return f"no route to {progress.peer}"
    return f"{error.strerror[0].lower()}{error.strerror[1:]} at {progress.peer}" if error.strerror else ""


def is_cut_off(error: BaseException) -> bool:
    """Whether the peer ended the connection: OpenSSL names it by version, moment and what it had read."""
    unexpected = isinstance(error, ssl.SSLError) and error.reason == "UNEXPECTED_EOF_WHILE_READING"
    return unexpected or isinstance(error, (*CLOSED, ssl.SSLEOFError, ssl.SSLZeroReturnError))


def break_off(connection: Any) -> None:
    """Let the thread that waits for this connection go on: no time limit ends a peer that sends a byte now and then."""
    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # SSLSocket's own takes the TLS away under a reader


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
