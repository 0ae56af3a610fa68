"""Work for a thread of its own: nobody else waits for a disk that hangs or a pipe that is full.

It is done in the order in which it came. The queue is bounded: what does not fit is dropped and counted.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class Backlog(Generic[T]):
    """Calls `work` with each item. An item that raises is told, and the next one is done."""

    def __init__(self, work: Callable[[T], None], most: int) -> None:
        self._work, self._queue = work, queue.Queue[T](most)
        self._dropped = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, item: T) -> bool:
        """Take it, if there is room; never waits."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            with self._lock:
                self._dropped += 1
            return False
        return True

    def take_dropped(self) -> int:
        """How many items were dropped since this was asked for the last time."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def finish(self, budget: float) -> bool:
        """Whether all was done within so many seconds."""
        with self._queue.all_tasks_done:
            return self._queue.all_tasks_done.wait_for(lambda: not self._queue.unfinished_tasks, budget)

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            try:
                self._work(item)
            except Exception:
                log.exception("what was to be written could not be")
            finally:
                self._queue.task_done()
