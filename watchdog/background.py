"""Background threads, so that no scan and no kill waits for a disk or a pipe."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
_running: list[threading.Thread] = []


def in_background(work: Callable[[], None]) -> None:
    """Call `work` in a thread that does not delay the end of the program."""
    thread = threading.Thread(target=_guarded, args=[work], daemon=True)
    _running[:] = [each for each in _running if each.is_alive()]
    _running.append(thread)
    thread.start()


def wait_for_background(longest: float) -> None:
    """Wait for the tasks under way, `longest` seconds for all of them."""
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
    """Calls `work` with each item in a thread. An exception is logged, and the next item follows."""

    def __init__(self, work: Callable[[T], None], most: int) -> None:
        self._work, self._queue = work, queue.Queue[T](most)
        self._dropped_count = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, item: T) -> bool:
        """Add the item; return False if there is no room. Never waits."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            with self._lock:
                self._dropped_count += 1
            return False
        return True

    def take_dropped_count(self) -> int:
        """Return how many items were dropped since the last call."""
        with self._lock:
            dropped, self._dropped_count = self._dropped_count, 0
        return dropped

    def finish(self, budget: float) -> bool:
        """Wait `budget` seconds; return whether everything was done."""
        with self._queue.all_tasks_done:
            return self._queue.all_tasks_done.wait_for(lambda: not self._queue.unfinished_tasks, budget)

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            try:
                self._work(item)
            except Exception:
                log.exception("writing in the background failed")
            finally:
                self._queue.task_done()
