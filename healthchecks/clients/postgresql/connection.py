"""Speaks to PostgreSQL, and returns in time whatever the server does.

No setting of libpq ends a query whose server went silent in the middle of it: psycopg2's wait callback does.
"""

import contextlib
import math
import os
import select
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from healthchecks import ProbeTimeout, Unhealthy, remaining
from healthchecks.clients.connection import ConnectionStep, Progress
from healthchecks.clients.postgresql.errors import describe_connection_error, is_timeout

if TYPE_CHECKING:
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
    """Whether every host is this machine; a name but localhost may be anybody's."""
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
    """The option, else the environment variable that libpq reads in its place."""
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
    """The options in a URL or in key=value pairs. Raises ValueError, without the text: it holds a password."""
    import psycopg2
    from psycopg2.extensions import parse_dsn

    try:
        options = dict(parse_dsn(dsn)) if dsn else {}
        [int(port) for port in options.get("port", "").split(",") if port]  # libpq looks at it only later
    except (psycopg2.Error, ValueError):
        raise ValueError("is not a URL (postgresql://USER:PASSWORD@HOST/DATABASE) and not key=value pairs") from None
    return options


@contextlib.contextmanager
def session(access: DatabaseAccess) -> Iterator["Cursor"]:
    """A cursor in a read-only transaction, which is rolled back. Raises Unhealthy, or ProbeTimeout at the timeout."""
    import psycopg2
    from psycopg2.extensions import set_wait_callback

    set_wait_callback(_wait)
    _local.ends_at = time.monotonic() + remaining()
    _local.progress = progress = access.progress
    progress.at(ConnectionStep.RESOLVE)
    try:
        with contextlib.closing(_connect(access)) as connection, connection.cursor() as cursor:
            progress.at(ConnectionStep.LOGGED_IN)
            cursor.execute("set transaction read only")
            cursor.execute("select set_config('statement_timeout', %s, true)", (str(_milliseconds()),))
            yield cursor
    except psycopg2.Error as error:
        if is_timeout(error):
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
    """psycopg2's wait callback, of the whole process: threads without a timeout of ours wait as long as it takes."""
    from psycopg2.extensions import POLL_OK, POLL_READ

    while (state := connection.poll()) != POLL_OK:
        poller = select.poll()  # select.select() fails for descriptors above 1023
        poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        ends_at = getattr(_local, "ends_at", None)
        if ends_at is not None:
            _keep_progress(_local.progress, is_reading=state == POLL_READ)
        left = None if ends_at is None else (ends_at - time.monotonic()) * 1000
        if left is not None and (left <= 0 or not poller.poll(left)):  # bytes that keep dripping are no response
            raise ProbeTimeout
        if left is None:
            poller.poll()


def _keep_progress(progress: Progress, *, is_reading: bool) -> None:
    """Until it is connected libpq waits to write, then for the server's response; at each address of a host."""
    if progress.step is not ConnectionStep.LOGGED_IN:
        step = ConnectionStep.RESPONSE if is_reading else ConnectionStep.CONNECT
        if step is not progress.step:
            progress.at(step)
