"""Celery's messages: the test task, the question to all workers, and the replies; JSON only, nothing is unpickled.

Sources: https://docs.celeryq.dev/en/stable/internals/protocol.html (message protocol 2), kombu/pidbox.py (remote
control), celery/app/builtins.py (the task `celery.accumulate`, which every worker has and which returns its arguments).
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from healthchecks import remaining
from servermonitoring import clock

CONTENT_TYPE, ENCODING = "application/json", "utf-8"
CONTROL_EXCHANGE = "celery.pidbox"
LARGEST = 2_000_000  # bytes of a reply; what a worker with 100 busy processes sends has 60,000
_TASK = "celery.accumulate"
_CLOCK_DIFFERENCE = 60  # seconds that the clock of a worker may be ahead
_LATEST = 1e12  # seconds since 1970
_LONGEST_NAME = 100  # characters


@dataclass(frozen=True)
class ReplyRoute:
    """Where a worker sends what the test task returned."""

    exchange: str
    routing_key: str


@dataclass(frozen=True)
class CeleryMessage:
    """`headers` and a body in JSON."""

    id: str
    headers: dict[str, Any]
    body: bytes


@dataclass(frozen=True)
class RunningTask:
    """`runtime` in seconds."""

    name: str
    worker: str
    runtime: float


@dataclass
class Replies:
    """What came back to this run: others' and those of an earlier run have another id."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    is_task_done: bool = False
    workers: int = 0
    """How many replied, each once."""
    unreadable: int = 0
    """How many of them did not reply in JSON."""
    longest: RunningTask | None = None
    """The task that a worker has run for the longest time."""

    def add(self, body: bytes, ticket: object) -> None:
        """Count a reply; what is none is ignored."""
        content = decode(body)
        if ticket == self.id:
            self.workers += 1
            self.unreadable += not isinstance(content, dict)
            self._note_tasks(content if isinstance(content, dict) else {})
        elif isinstance(content, list) and content:  # a task: [arguments, keywords, callbacks]
            self.is_task_done |= content[0] == [self.id]

    def _note_tasks(self, tasks_by_worker: Mapping[str, object]) -> None:
        found = [_longest(worker, tasks) for worker, tasks in tasks_by_worker.items()]
        self.longest = max(filter(None, [self.longest, *found]), key=lambda task: task.runtime, default=None)


def decode(body: bytes) -> object:
    """Return the value of a JSON text; None for what is none, too large, or nested too deep."""
    if len(body) > LARGEST:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def make_task(id_: str, reply: ReplyRoute) -> CeleryMessage:
    """Return a task that returns `id_`, and which the worker then passes on to `reply` by publishing a second one.

    So its result arrives whatever result backend the workers have, or none. `exchange` and `routing_key` must not be
    empty, and `declare` must be: else Celery sends it to the default queue, or creates that.
    """
    options = {**vars(reply), "declare": [], "serializer": "json", "priority": 0}
    callback: dict[str, Any] = {
        "task": _TASK, "args": [], "kwargs": {}, "options": options, "subtask_type": None, "immutable": False,
    }  # fmt: skip
    expires = datetime.now(UTC) + timedelta(seconds=remaining() + _CLOCK_DIFFERENCE)
    headers = {
        "lang": "py", "task": _TASK, "id": id_, "root_id": id_, "parent_id": None, "group": None, "retries": 0,
        "eta": None, "expires": expires.isoformat(), "timelimit": [None, None], "argsrepr": "('healthchecks',)",
        "kwargsrepr": "{}", "origin": "healthchecks", "ignore_result": True,
    }  # fmt: skip
    embed = {"callbacks": [callback], "errbacks": None, "chain": None, "chord": None}
    return CeleryMessage(id_, headers, json.dumps([[id_], {"index": 0}, embed]).encode())


def make_command(id_: str, routing_key: str) -> CeleryMessage:
    """Return the question of all workers for their running tasks, as `celery inspect active` sends it."""
    content = {
        "method": "active", "arguments": {}, "destination": None, "pattern": None, "matcher": None,
        "ticket": id_, "reply_to": {"exchange": "", "routing_key": routing_key},
    }  # fmt: skip
    headers = {"clock": 1, "expires": int(clock.time() + remaining() + _CLOCK_DIFFERENCE)}
    return CeleryMessage(id_, headers, json.dumps(content).encode())


def _longest(worker: str, tasks: object) -> RunningTask | None:
    found = [_running(worker, each) for each in tasks if isinstance(each, dict)] if isinstance(tasks, list) else []
    return max(filter(None, found), key=lambda task: task.runtime, default=None)


def _running(worker: str, task: Mapping[str, object]) -> RunningTask | None:
    """Return the task; None where it has no time of its start, in seconds since 1970."""
    start = task.get("time_start")
    if isinstance(start, bool) or not isinstance(start, int | float) or not 0 < start < _LATEST:
        return None
    return RunningTask(str(task.get("name"))[:_LONGEST_NAME], worker[:_LONGEST_NAME], clock.time() - start)
