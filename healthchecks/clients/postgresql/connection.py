"""Speaks to PostgreSQL, and returns in time whatever the server does, with one line for what is wrong, and where.

No setting of libpq ends a query whose server went silent in the middle of it: psycopg2's wait callback does.
"""

import contextlib
import math
import os
import re
import select
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from healthchecks import ProbeTimeout, Unhealthy, remaining
from healthchecks.clients.connection import ConnectionStep, Progress
from servermonitoring import clock

if TYPE_CHECKING:
    import psycopg2
    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - so is this


_VERIFIED = {"verify-ca", "verify-full"}


def required(options: Mapping[str, Any]) -> dict[str, str]:
    """Return libpq's `require_auth` for these options of a connection; what they name themselves stays in force.

    libpq knows it since version 16; an older one refuses to connect, which is safe.
    """
    if "require_auth" in options or _is_verified(options) or _is_local(options):
        return {}
    return {"require_auth": "!password"}


def _is_verified(options: Mapping[str, Any]) -> bool:
    return _given(options, "sslmode") in _VERIFIED


def _is_local(options: Mapping[str, Any]) -> bool:
    """Return whether every host is this machine; a name but localhost may be anybody's."""
    if _given(options, "service"):  # a file that we do not read
        return False
    hosts = _given(options, "hostaddr") or _given(options, "host")
    return all(not host or host.startswith(("/", "@")) or _is_loopback(host) for host in hosts.split(","))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _given(options: Mapping[str, Any], name: str) -> str:
    """Return the option, else the environment variable that libpq reads in its place."""
    return str(options.get(name) or os.environ.get(f"PG{name.upper()}", ""))


_local = threading.local()  # of this thread: ends_at, in seconds of the monotonic clock, and progress


@dataclass(frozen=True)
class DatabaseAccess:
    """Address and login; `options` are libpq's and take precedence over those in the DSN."""

    dsn: str = field(default="", repr=False)
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def known(self) -> dict[str, Any]:
        """All of libpq's options, as far as they were given."""
        return {**parse(self.dsn), **self.options}

    @property
    def progress(self) -> Progress:
        """Of a new session."""
        return Progress(self.known.get("host") or "localhost", self.known.get("port") or 5432)

    @property
    def user(self) -> str:
        return str(self.known.get("user") or "")


def parse(dsn: str) -> dict[str, Any]:
    """Return the options in a URL or in key=value pairs. Raise ValueError, without the text: it holds a password."""
    import psycopg2
    from psycopg2.extensions import parse_dsn

    try:
        options = dict(parse_dsn(dsn)) if dsn else {}
        [int(port) for port in options.get("port", "").split(",") if port]  # libpq reads it only later
    except (psycopg2.Error, ValueError):
        raise ValueError("is not a URL (postgresql://USER:PASSWORD@HOST/DATABASE) and not key=value pairs") from None
    return options


@contextlib.contextmanager
def session(access: DatabaseAccess) -> Iterator["Cursor"]:
    """Yield a cursor in a read-only transaction, which is rolled back. Raise Unhealthy, at the timeout ProbeTimeout."""
    import psycopg2
    from psycopg2.extensions import set_wait_callback

    set_wait_callback(_wait)
    _local.ends_at = clock.monotonic() + remaining()
    _local.progress = progress = access.progress
    progress.at(ConnectionStep.RESOLVE)
    try:
        with contextlib.closing(_connect(access)) as connection, connection.cursor() as cursor:
            progress.at(ConnectionStep.LOGGED_IN)
            cursor.execute("set transaction read only")
            cursor.execute("select set_config('statement_timeout', %s, true)", (str(_milliseconds()),))
            yield cursor
    except psycopg2.Error as error:
        if _is_timeout(error):
            raise ProbeTimeout from None
        raise Unhealthy(describe_connection_error(error, progress, access.user)) from None
    finally:
        _local.ends_at = None


def _connect(access: DatabaseAccess) -> "Connection":
    import psycopg2

    # For links that go down: the kernel ends such a connection even where nobody waits for it any more.
    limits = {
        "connect_timeout": max(2, math.ceil(remaining())),
        "tcp_user_timeout": _milliseconds(),
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }
    options = {"application_name": "healthchecks", **limits, **required(access.known), **access.options}
    connection: Connection = psycopg2.connect(access.dsn, **options)
    return connection


def _milliseconds() -> int:
    return max(1, int(remaining() * 1000))


def _wait(connection: "Connection") -> None:
    """Wait as psycopg2's callback of the whole process; threads without a timeout of ours wait as long as it takes."""
    from psycopg2.extensions import POLL_OK, POLL_READ

    while (state := connection.poll()) != POLL_OK:
        poller = select.poll()  # select.select() fails for descriptors above 1023
        poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        ends_at = getattr(_local, "ends_at", None)
        if ends_at is not None:
            _keep_progress(_local.progress, is_reading=state == POLL_READ)
        left = None if ends_at is None else (ends_at - clock.monotonic()) * 1000
        if left is not None and (left <= 0 or not poller.poll(left)):  # bytes that keep dripping are no response
            raise ProbeTimeout
        if left is None:
            poller.poll()


def _keep_progress(progress: Progress, *, is_reading: bool) -> None:
    """Note what libpq waits for: until it is connected to write, then for the response; at each address of a host."""
    if progress.step is not ConnectionStep.LOGGED_IN:
        step = ConnectionStep.RESPONSE if is_reading else ConnectionStep.CONNECT
        if step is not progress.step:
            progress.at(step)


_ATTEMPT = re.compile(r"(?:connection to server (?:at|on) [^\n]*? failed: |could not connect to server: )")
_TIMED_OUT = re.compile(r"statement timeout|timeout expired|Connection timed out")
_SEVERITY = re.compile(r"^(?:FATAL|ERROR|PANIC): +")
_CLEARTEXT = (
    "password requested in clear text and not sent, since TLS is not verified, at ADDRESS: "
    'let the server request scram-sha-256 (pg_hba.conf), or write sslmode = "verify-full"'
)
# The first that is found; {} takes the pattern's group. None says that the address adds nothing.
_WORDS: list[tuple[str, str]] = [
    (r'(password authentication failed for user "[^"]*")', "{} at ADDRESS"),
    (r"server requested a cleartext password", _CLEARTEXT),
    (r'invalid connection option "require_auth"', "libpq is older than 16, needed at ADDRESS: use psycopg2-binary"),
    (r"no password supplied", "USER needs a password at ADDRESS"),
    (r'database "([^"]*)" does not exist', 'no database "{}" at ADDRESS'),
    (r'role "([^"]*)" does not exist', 'no role "{}" at ADDRESS'),
    (r'permission denied for database "([^"]*)"', 'USER may not connect to database "{}" at ADDRESS'),
    (r"no pg_hba.conf entry", "USER is not let in from here (pg_hba.conf) at ADDRESS"),
    (r'too many connections for role "([^"]*)"', 'role "{}" has used up its own CONNECTION LIMIT at ADDRESS'),
    (r'too many connections for database "([^"]*)"', 'database "{}" has used up its own CONNECTION LIMIT at ADDRESS'),
    (r"too many (?:clients|connections)|connection slots are reserved", "too many connections at ADDRESS"),
    (r"database system is starting up", "the server is starting up at ADDRESS"),
    (r"database system is shutting down", "the server is shutting down at ADDRESS"),
    (r"in recovery mode|not yet accepting connections", "the server is recovering at ADDRESS"),
    (r"terminating connection due to administrator command", "the server ended the connection at ADDRESS"),
    (r"Connection refused", "connection refused at ADDRESS"),
    (r"No route to host|Network is unreachable|Invalid argument", "no route to ADDRESS"),
    (r'could not translate host name "([^"]*)"', "cannot resolve {}"),
    (r"server does not support SSL", "the server offers no TLS, required by sslmode, at ADDRESS"),
    (r"certificate verify failed", "the certificate is not trusted at ADDRESS"),
    (r'root certificate file "([^"]*)"', "sslrootcert {} does not exist"),
    (r"server certificate for .* does not match", "the certificate is for another name at ADDRESS"),
    (r"closed the connection|Connection reset|EOF detected", "CLOSED"),
    (r"invalid response|expected authentication|lost synchronization", "not a PostgreSQL server at ADDRESS"),
]  # fmt: skip


def _is_timeout(error: "psycopg2.Error") -> bool:
    """Return whether the time was over, as libpq, the system or the server has it."""
    return _TIMED_OUT.search(str(error)) is not None


def describe_connection_error(error: "psycopg2.Error", progress: Progress, user: str) -> str:
    """Return what is wrong, and where. Of several addresses several fail: what a server said comes first."""
    reasons = [part.strip() for part in _ATTEMPT.split(str(error)) if part.strip()]
    reasons.sort(key=lambda reason: _SEVERITY.match(reason) is None)
    reason = reasons[0] if reasons else type(error).__name__
    for pattern, words in _WORDS:
        if found := re.search(pattern, reason):
            text = words.format(found[1]) if "{}" in words else words
            text = text.replace("USER", f'user "{user}"' if user else "the user").replace("ADDRESS", progress.peer)
            return text.replace("CLOSED", progress.closed_message)
    return f"{_SEVERITY.sub('', reason).splitlines()[0]} at {progress.peer}"  # a server may speak another language
