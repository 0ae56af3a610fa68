"""Celery's messages through Redis, in the form of kombu/transport/virtual/base.py and kombu/transport/redis.py."""

import base64
import contextlib
import hashlib
import json
import socket
import uuid
from collections.abc import Iterator
from typing import Any

from healthchecks import remaining
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
from healthchecks.clients.celery.round_trip import QueueState, Transport
from healthchecks.clients.redis import RedisAccess, RedisSession, session

_SEPARATOR = "\x06\x16"  # kombu's, in bindings and in the names of queues by priority
_PRIORITIES = ("", *(f"{_SEPARATOR}{step}" for step in (3, 6, 9)))  # kombu's default steps
_KEPT = 120  # seconds that the binding stays for a worker that has taken the task and is late
_REMEMBERED = 7 * 86400  # seconds that a task of a run that was killed can be removed by the next one
_MOST_RECEIVED = 50_000_000  # bytes of one connection: 100 workers with 100 tasks each send 6,000,000


class RedisTransport(Transport):
    """`_replies` is the name of list and exchange for the replies: the same in each run, so that none pile up."""

    def __init__(self, redis: RedisSession, queue: str, database: int) -> None:
        super().__init__(queue)
        self._redis, self._database = redis, database
        owner = f"{socket.gethostname()} {queue}".encode(errors="replace")
        self._replies = f"servermonitoring.{hashlib.sha256(owner).hexdigest()[:16]}"
        self._task = f"{self._replies}.task"
        self._remove_earlier_task()

    def state(self) -> QueueState:
        """Return the state; an empty queue does not exist in Redis, and nobody knows who waits for it."""
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
        found = self._run("BRPOP", self._replies, f"{max(0.01, seconds):.2f}")  # with 0 it would wait for ever
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
        is_there = bool(task) and bool(self._run("LREM", self.queue, -1, task.decode()))
        self._run("DEL", self._replies, self._task)
        return is_there

    @property
    def _binding(self) -> str:
        return f"_kombu.binding.{self._replies}"

    def _run(self, *command: str | int) -> Any:
        return self._redis.command(*map(str, command))


def _envelope(message: CeleryMessage, exchange: str, routing_key: str) -> str:
    properties = {
        "correlation_id": message.id, "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
        "delivery_info": {"exchange": exchange, "routing_key": routing_key}, "delivery_tag": str(uuid.uuid4()),
    }  # fmt: skip
    return json.dumps({
        "body": base64.b64encode(message.body).decode(), "content-type": CONTENT_TYPE, "content-encoding": ENCODING,
        "headers": message.headers, "properties": properties,
    })  # fmt: skip


@contextlib.contextmanager
def redis_transport(access: RedisAccess, queue: str) -> Iterator[Transport]:
    """Yield the transport. Raise Unhealthy, or ProbeTimeout at the timeout."""
    with session(access, _MOST_RECEIVED) as redis:
        yield RedisTransport(redis, queue, access.db)
