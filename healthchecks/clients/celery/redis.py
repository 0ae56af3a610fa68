"""Celery's messages through Redis, in the form of kombu/transport/virtual/base.py and kombu/transport/redis.py.

One connection of redis-py: bounded in time and size, without retries.
"""

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from healthchecks import ProbeTimeout, Unhealthy, remaining
from healthchecks.clients.celery.message import (
    CONTENT_TYPE,
    CONTROL_EXCHANGE,
    ENCODING,
    CeleryMessage,
    Replies,
    ReplyRoute,
    decode,
    make_command,
    make_task,
)
from healthchecks.clients.celery.transport import QueueState, Transport
from healthchecks.clients.connection import ConnectionStep, Progress, connect, is_closed_by_peer
from healthchecks.clients.http.certificate import context

_SEPARATOR = "\x06\x16"  # kombu's, in bindings and in the names of queues by priority
_PRIORITIES = ("", *(f"{_SEPARATOR}{step}" for step in (3, 6, 9)))  # kombu's default steps
_KEPT = 120  # seconds that the binding stays for a worker that has taken the task and is late
_REMEMBERED = 7 * 86400  # seconds that a task of a run that was killed can be removed by the next one
_MOST_RECEIVED = 50_000_000  # bytes of one connection: 100 workers with 100 tasks each send 6,000,000


@dataclass(frozen=True)
class RedisAddress:
    """Address, user and number of the database of a Redis."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    tls: bool = False
    ca: Path | None = None


class RedisTransport(Transport):
    """`_replies` is the name of list and exchange for the replies: the same in each run, so that none pile up."""

    def __init__(self, connection: Any, queue: str, database: int) -> None:
        super().__init__(queue)
        self._connection, self._database = connection, database
        owner = f"{socket.gethostname()} {queue}".encode(errors="replace")
        self._replies = f"servermonitoring.{hashlib.sha256(owner).hexdigest()[:16]}"
        self._task = f"{self._replies}.task"
        self._remove_earlier_task()

    def state(self) -> QueueState:
        """An empty queue does not exist in Redis, and nobody knows who waits for it."""
        return QueueState(sum(int(self._run("LLEN", self.queue + step)) for step in _PRIORITIES))

    def ask_workers(self, id_: str) -> int:
        envelope = _envelope(make_command(id_, self._replies), CONTROL_EXCHANGE, "")
        return int(self._run("PUBLISH", f"/{self._database}.{CONTROL_EXCHANGE}", envelope))

    def send_task(self, id_: str) -> None:
        binding = self._binding
        self._run("SADD", binding, _SEPARATOR.join([self._replies, "", self._replies]))
        self._run("EXPIRE", binding, int(remaining()) + _KEPT)
        task = _envelope(make_task(id_, ReplyRoute(self._replies, self._replies)), "", self.queue)
        self._run("SET", self._task, task, "EX", _REMEMBERED)  # before it is sent: this process may be killed
        self._run("LPUSH", self.queue, task)

    def receive(self, replies: Replies, seconds: float) -> None:
        found = self._run("BRPOP", self._replies, f"{seconds:.2f}")
        envelope = decode(found[1]) if found else None
        if not isinstance(envelope, dict):
            return
        headers = envelope.get("headers")
        with contextlib.suppress(ValueError, TypeError):  # no base64
            body = base64.b64decode(envelope.get("body", ""))
            replies.add(body, headers.get("ticket") if isinstance(headers, dict) else None)

    def withdraw_task(self) -> bool:
        is_there = self._remove_earlier_task()
        if is_there:
            self.clean_up()
        return is_there

    def clean_up(self) -> None:
        """Remove what only a worker that still has the task would need."""
        self._run("DEL", self._replies, self._binding, self._task)

    def _remove_earlier_task(self) -> bool:
        """Remove the task of this run, or of one that was killed, and replies; return whether it was in the queue."""
        task = self._run("GET", self._task)
        is_there = bool(task) and bool(self._run("LREM", self.queue, "-1", task))
        self._run("DEL", self._replies, self._task)
        return is_there

    @property
    def _binding(self) -> str:
        return f"_kombu.binding.{self._replies}"

    def _run(self, *command: str | int) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response()


def _envelope(message: CeleryMessage, exchange: str, routing_key: str) -> str:
    properties = {
        "correlation_id": message.id, "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
        "delivery_info": {"exchange": exchange, "routing_key": routing_key}, "delivery_tag": str(uuid.uuid4()),
    }  # fmt: skip
    return json.dumps({
        "body": base64.b64encode(message.body).decode(), "content-type": CONTENT_TYPE, "content-encoding": ENCODING,
        "headers": message.headers, "properties": properties,
    })  # fmt: skip


class BoundedSocket:
    """A socket that receives so many bytes at most: redis-py would take 512 MB, or what a bad peer announces."""

    def __init__(self, connection: socket.socket, peer: str) -> None:
        self._connection, self._peer, self._room = connection, peer, _MOST_RECEIVED

    def recv(self, size: int) -> bytes:
        data = self._connection.recv(size)
        self._count(len(data))
        return data

    def recv_into(self, buffer: Any, *sizes: int) -> int:  # of hiredis, where that is installed
        size = self._connection.recv_into(buffer, *sizes)
        self._count(size)
        return size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _count(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise Unhealthy(f"more than {_MOST_RECEIVED // 1_000_000} MB received from {self._peer}")


@contextlib.contextmanager
def redis_transport(address: RedisAddress, queue: str) -> Iterator[Transport]:
    """Yield the transport. Raise Unhealthy, or ProbeTimeout at the timeout."""
    from redis.exceptions import RedisError

    progress = Progress(address.host, address.port)
    connection = _connection(address, progress)
    try:
        connection.connect()
        progress.at(ConnectionStep.LOGGED_IN)
        yield RedisTransport(connection, queue, address.database)
    except (RedisError, OSError, ValueError, TypeError, RecursionError) as error:
        raise _translate(error, address, progress) from None
    finally:
        with contextlib.suppress(Exception):
            connection.disconnect()


def _connection(address: RedisAddress, progress: Progress) -> Any:  # a Connection, which has no types
    from redis.backoff import NoBackoff
    from redis.connection import Connection
    from redis.retry import Retry

    class BoundedConnection(Connection):
        def _connect(self) -> BoundedSocket:
            connection = connect(progress, ConnectionStep.TLS if address.tls else ConnectionStep.RESPONSE)
            if address.tls:
                connection = _secured(connection, address, progress)
            connection.settimeout(remaining())
            return BoundedSocket(connection, progress.peer)

    made: Any = BoundedConnection
    return made(
        host=address.host, port=address.port, db=address.database, username=address.user or None,
        password=address.password or None, socket_timeout=remaining(), protocol=2, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip


def _secured(connection: socket.socket, address: RedisAddress, progress: Progress) -> socket.socket:
    try:
        secured = context(verify=True, ca=address.ca).wrap_socket(connection, server_hostname=address.host)
    except TimeoutError:
        raise ProbeTimeout from None
    except ssl.SSLCertVerificationError as error:
        raise Unhealthy(f"certificate is not trusted ({error.verify_message}) at {progress.peer}") from None
    except OSError as error:
        closed = progress.closed_message if is_closed_by_peer(error) else f"no TLS at {progress.peer}"
        raise Unhealthy(closed) from None
    progress.at(ConnectionStep.RESPONSE)
    return secured


def _translate(error: Exception, address: RedisAddress, progress: Progress) -> Unhealthy:
    import redis.exceptions as known

    text = str(error)
    if isinstance(error, known.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH", "invalid username")):
        who = f'user "{address.user or "default"}"' if address.password else "no password given"
        return Unhealthy(f"login refused ({who}) at {progress.peer}")
    if isinstance(error, known.TimeoutError | TimeoutError):
        return ProbeTimeout()
    if "DB index is out of range" in text:
        return Unhealthy(f"no database {address.database} at {progress.peer}")
    if isinstance(error, known.ResponseError):  # the server's own words: OOM, READONLY, NOPERM, LOADING
        return Unhealthy(f"{text} at {progress.peer}")
    is_lost = isinstance(error, known.ConnectionError | OSError) and "Protocol Error" not in text
    return Unhealthy(progress.closed_message if is_lost else f"response is not that of a Redis at {progress.peer}")
