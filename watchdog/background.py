"""Work in threads of its own, so that no scan and no kill waits for a disk or a pipe."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
_running: list[threading.Thread] = []


def in_background(work: Callable[[], None]) -> None:
    """Do it in a thread that does not hold up the end of the program."""
    thread = threading.Thread(target=_guarded, args=[work], daemon=True)
    _running[:] = [each for each in _running if each.is_alive()]
    _running.append(thread)
    thread.start()


def wait_for_background(longest: float) -> None:
    """Give what is under way a last chance, in seconds for all of it."""
    ends_at = time.monotonic() + longest
    for thread in _running:
        thread.join(max(0.0, ends_at - time.monotonic()))


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        log.exception("a task in the background failed")


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
