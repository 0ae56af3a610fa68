"""A Redis client for monitoring: one connection of redis-py, bounded, with messages instead of its exceptions."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from healthchecks import ProbeTimeout, Unhealthy, remaining
from healthchecks.clients.certificate import context, describe_verification_error
from healthchecks.clients.connection import (
    ConnectionStep,
    Progress,
    connect,
    describe_failed_connection,
    first_bytes,
)
from healthchecks.clients.handshake import describe_tls_error, presented_chain
from healthchecks.clients.http.urls import host_name
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import size_in_words

PORT = 6379
_SCHEMES = {"redis": False, "rediss": True}
_MOST = 300_000  # bytes of all responses; those to INFO are about 10 kB
_LONGEST = 300  # characters of a server's error
_FORM = "redis://HOST:PORT/DB, for TLS rediss://, with user and password before the host"


@dataclass(frozen=True)
class RedisAccess:
    """Address, login and database."""

    host: str = "127.0.0.1"
    port: int = PORT
    user: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: bool = False
    ca: Path | None = None


def parse_url(url: str) -> RedisAccess:
    """Return what a URL says. Raise ValueError, without the text: it holds a password."""
    try:
        parts = urlsplit(url)
        tls, port = _SCHEMES[parts.scheme], parts.port or PORT
        host, db = host_name(unquote(parts.hostname or "")), int(parts.path.strip("/") or 0)
    except (KeyError, ValueError):
        raise ValueError(f"is not a URL of Redis: write {_FORM}") from None
    if not host or parts.query or parts.fragment or db < 0:
        raise ValueError(f"is not a URL of Redis: write {_FORM}")
    return RedisAccess(host, port, unquote(parts.username or ""), unquote(parts.password or ""), db, tls)


class RedisSession:
    """An open connection."""

    def __init__(self, connection: Any, access: RedisAccess, peer: str) -> None:
        self._connection, self._access, self.peer = connection, access, peer

    def command(self, *words: str) -> Any:
        """Return the response to a command."""
        self._connection.send_command(*words)
        return self._connection.read_response()

    def refusal(self) -> str:
        """Return why the server refuses PING, though it may answer INFO: it loads its data, or cannot save them."""
        import redis.exceptions

        try:
            pong = self.command("PING")
        except redis.exceptions.RedisError as error:
            if not _is_reply(error):
                raise
            return _describe_reply(error, self._access)
        if pong != b"PONG":
            raise Unhealthy(f"not a Redis server at {self.peer}: PING is answered with {pong!r:.50}")
        return ""

    def info(self) -> dict[str, str]:
        """Return what INFO says, by name. Raise Unhealthy where that is another thing."""
        text = self.command("INFO")
        if not isinstance(text, bytes):
            raise Unhealthy(f"not the statistics of a Redis server at {self.peer}")
        pairs = (line.partition(":") for line in text.decode(errors="replace").splitlines())
        return {name: value for name, colon, value in pairs if colon}


@contextlib.contextmanager
def session(access: RedisAccess, most: int = _MOST) -> Iterator[RedisSession]:
    """Yield an open connection, logged in. Raise Unhealthy, or ProbeTimeout at the timeout.

    `most`: bytes of all responses together.
    """
    progress = Progress(access.host, access.port)
    transport = _Transport(access, progress, most)
    connection = _connection_of(access, transport)
    try:
        with contextlib.closing(transport):
            connection.connect()
            progress.at(ConnectionStep.LOGGED_IN if access.password else ConnectionStep.RESPONSE)
            yield RedisSession(connection, access, progress.peer)
    except Unhealthy:
        raise
    except Exception as error:  # noqa: BLE001 - for invalid responses redis-py raises ValueError and others
        cause = transport.error or error
        if isinstance(cause, TimeoutError):
            raise ProbeTimeout from None
        raise Unhealthy(_describe(cause, access, progress, transport.begin)) from None


class _Transport:
    """The part of a socket that redis-py uses, whose reads end in time and at a size."""

    def __init__(self, access: RedisAccess, progress: Progress, most: int) -> None:
        self._access, self._progress, self._most = access, progress, most
        self._connection: socket.socket | None = None
        self._left = most
        self.begin = b""
        """The first bytes that the server sent."""
        self.error: Exception | None = None
        """What went wrong with the connection, before redis-py made another error of it."""

    def open(self) -> "_Transport":
        step = ConnectionStep.TLS if self._access.tls else ConnectionStep.RESPONSE
        self._connection = connect(self._progress, step)
        if self._access.tls:
            self._secure(self._connection)
        return self

    def recv(self, most: int) -> bytes:
        with self._kept():
            data = self._opened().recv(most)
            if not data:
                raise EOFError
        self.begin = self.begin or data
        self._left -= len(data)
        if self._left < 0:
            raise Unhealthy(f"more than {size_in_words(self._most)} of responses at {self._progress.peer}")
        return data

    def sendall(self, data: bytes) -> None:
        with self._kept():
            self._opened().sendall(data)

    def settimeout(self, _seconds: float | None) -> None:
        """Do nothing: each read and write has what is left of the timeout of the check."""

    def shutdown(self, how: int) -> None:
        if self._connection is not None:
            self._connection.shutdown(how)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _opened(self) -> socket.socket:
        if self._connection is None:
            raise EOFError
        self._connection.settimeout(remaining())
        return self._connection

    def _secure(self, connection: socket.socket) -> None:
        with self._kept():
            connection.settimeout(remaining())
            trusted = context(verify=True, ca=self._access.ca)
            self._connection = trusted.wrap_socket(connection, server_hostname=self._access.host)
        self._progress.at(ConnectionStep.RESPONSE)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError) as error:
            self.error = self.error or error
            raise


def _connection_of(access: RedisAccess, transport: _Transport) -> Any:
    """Return a connection of redis-py over this transport. It names itself to no server: that would need a right."""
    from redis._parsers import _RESP2Parser
    from redis.connection import Connection

    class Bounded(Connection):
        def _connect(self) -> Any:
            return transport.open()

    return Bounded(  # type: ignore[no-untyped-call]
        host=access.host, port=access.port, db=access.db, username=access.user or None,
        password=access.password or None, protocol=2, parser_class=_RESP2Parser, driver_info=None,
    )  # fmt: skip


def _describe(error: BaseException, access: RedisAccess, progress: Progress, begin: bytes) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        chain = presented_chain(access.host, access.port)
        return f"{describe_verification_error(error, access.host, chain)} at {progress.peer}"
    if _is_reply(error):
        return f"{_describe_reply(error, access)} at {progress.peer}"
    if words := describe_tls_error(error, progress, begin):
        return words
    if isinstance(error, OSError) and (words := describe_failed_connection(error, progress)):
        return words
    return f"not a Redis server at {progress.peer}" + (f": {first_bytes(begin)}" if begin else "")


def _is_reply(error: BaseException) -> bool:
    """Return whether the server has replied with this error: those that redis-py finds itself have no code."""
    import redis.exceptions

    return isinstance(error, redis.exceptions.ResponseError) or bool(getattr(error, "status_code", ""))


def _describe_reply(error: BaseException, access: RedisAccess) -> str:
    """Return a message for an error that the server replies with, such as "NOAUTH Authentication required."."""
    text = " ".join(f"{getattr(error, 'status_code', '') or ''} {error}".split())
    for part, words in _REPLIES.items():
        if part in text:
            return words.format(user=f'user "{access.user or "default"}"', db=access.db)
    return scrub_and_cut(text.removeprefix("ERR "), _LONGEST)


_REPLIES = {
    "NOAUTH": "a password is required",
    "WRONGPASS": "login refused for {user}",
    "invalid password": "login refused for {user}",
    "without any password configured": "the server has no password, but one is configured here",
    "no password is set": "the server has no password, but one is configured here",
    "NOPERM": "{user} lacks a permission: it needs +info and +ping, for another db than 0 +select",
    "LOADING": "the server is still loading its data",
    "MISCONF": "the server refuses to be written to, since it cannot save its data (MISCONF)",
    "max number of clients": "too many clients",
    "DB index is out of range": "there is no database {db}",
    "DENIED": "the server accepts local clients only (protected mode: it has no password)",
    "MASTERDOWN": "the replica has lost its master and serves no data (replica-serve-stale-data no)",
}
"""What a server's error contains, and the message for it."""
