"""What a test task needs of a broker: the queue's state, to send, and to receive replies."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from healthchecks.clients.celery.message import Replies


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
