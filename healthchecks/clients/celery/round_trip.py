"""One test task through a queue of Celery, the replies of all workers meanwhile, and what both need of a broker."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from healthchecks import phase, remaining
from healthchecks.clients.celery.message import Replies, RunningTask
from servermonitoring import clock

_WORKERS_REPLY = 1.0  # seconds that all workers are waited for, as `celery inspect` does
_POLL = 0.25  # seconds
_RESERVE = 2.0  # seconds, of a short timeout a quarter, that are kept for the withdrawal of the task


@dataclass(frozen=True)
class QueueState:
    """Tasks waiting in a queue, and its consumers; None where the broker does not know them."""

    waiting: int
    consumers: int | None = None


class Transport(ABC):
    """A connection to the broker for one test task through one queue."""

    def __init__(self, queue: str) -> None:
        self.queue = queue

    @abstractmethod
    def state(self) -> QueueState | None:
        """Return the state of the queue; None where it does not exist. It is never created."""

    @abstractmethod
    def ask_workers(self, id_: str) -> int | None:
        """Ask all workers for their running tasks; return how many will receive it, None where that is unknown."""

    @abstractmethod
    def send_task(self, id_: str) -> None:
        """Put the test task into the queue."""

    @abstractmethod
    def receive(self, replies: Replies, seconds: float) -> None:
        """Add what has arrived to the replies; wait for the first one for so many seconds."""

    @abstractmethod
    def withdraw_task(self) -> bool | None:
        """Remove the test task from the queue; return whether it was still there, None where that is unknown."""

    @abstractmethod
    def clean_up(self) -> None:
        """Remove what was needed for the reply; the task is done."""


@dataclass(frozen=True)
class RoundTrip:
    """What a test task met."""

    state: QueueState | None
    """Before the task was sent; None where the queue does not exist."""
    is_sent: bool
    seconds: float | None
    """Until the task was done; None where it was not."""
    waited: float
    """Seconds that the task was waited for."""
    is_taken: bool | None
    """Whether a worker took a task that was not done; None where that is unknown."""
    workers: int | None
    """How many replied; None where they were not asked."""
    unreadable: int
    """How many of them did not reply in JSON, so that their tasks are unknown."""
    longest: RunningTask | None
    """The task that a worker has run for the longest time."""


def make_round_trip(transport: Transport, *, max_waiting: int, min_workers: int, ask: bool) -> RoundTrip:
    """Send a task, unless nobody consumes the queue or more tasks than `max_waiting` are there, and ask the workers.

    So tasks that nobody takes cannot pile up. With `ask` at least `min_workers` are waited for.
    """
    replies = Replies()
    state = transport.state()
    begun = clock.monotonic()
    ends = begun + remaining() - min(_RESERVE, remaining() / 4)
    asked = transport.ask_workers(replies.id) if ask else 0
    is_sent = state is not None and state.consumers != 0 and state.waiting <= max_waiting
    if is_sent:
        transport.send_task(replies.id)
        phase(f"test task sent to queue {transport.queue}, no response")
    seconds, is_complete = None, False
    while not is_complete and (now := clock.monotonic()) < ends:
        transport.receive(replies, min(_POLL, ends - now))
        now = clock.monotonic()
        if replies.is_task_done and seconds is None:
            seconds = now - begun
        is_complete = (seconds is not None or not is_sent) and _have_all(
            replies.workers, asked, min_workers, now - begun
        )
    waited = clock.monotonic() - begun
    is_taken = _end(transport, is_done=seconds is not None) if is_sent else None
    workers = replies.workers if ask else None
    return RoundTrip(state, is_sent, seconds, waited, is_taken, workers, replies.unreadable, replies.longest)


def _have_all(replied: int, asked: int | None, min_workers: int, waited: float) -> bool:
    """Return whether no more replies are worth a wait; `asked`: None where nobody knows how many workers there are."""
    return replied >= min_workers and (waited >= _WORKERS_REPLY or (asked is not None and replied >= asked))


def _end(transport: Transport, *, is_done: bool) -> bool | None:
    """Leave nothing behind; return whether a worker has taken a task that was not done, None where that is unknown."""
    if is_done:
        transport.clean_up()
        return None
    was_there = transport.withdraw_task()
    return None if was_there is None else not was_there
