"""Daemon threads, which the system may refuse, calls with a timeout, and work in the background.

What works in the background waits for a disk or a pipe, so that its caller never does.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from servermonitoring import clock

T = TypeVar("T")
_running: list[threading.Thread] = []  # in the background


def start(function: Callable[..., object], *arguments: object, name: str) -> threading.Thread | None:
    """Start a daemon thread and return it; None if the system refuses: then the caller does without it."""
    thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


def bounded(call: Callable[[], T], seconds: float) -> T:
    """Return or raise what the call does. Raise TimeoutError after `seconds`; its thread is then left behind."""
    outcome: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller
            errors.append(error)

    thread = start(run, name="healthchecks-bounded")
    if thread is None:  # then without a timeout
        return call()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no response within {seconds:g} s")
    if errors:
        raise errors[0]
    return outcome[0]


def in_background(work: Callable[[], None], log: logging.Logger) -> None:
    """Call `work` in a thread that does not delay the end of the program. Log its exception."""
    thread = threading.Thread(target=_guarded, args=[work, log], daemon=True)
    _running[:] = [each for each in _running if each.is_alive()]
    _running.append(thread)
    thread.start()


def wait_for_background(longest: float) -> None:
    """Wait for the tasks under way, `longest` seconds for all of them."""
    ends_at = clock.monotonic() + longest
    for thread in _running:
        thread.join(max(0.0, ends_at - clock.monotonic()))


def _guarded(work: Callable[[], None], log: logging.Logger) -> None:
    try:
        work()
    except Exception:
        log.exception("a task in the background failed")


class Backlog(Generic[T]):
    """Calls `work` with each item in a thread. An exception is logged, and the next item follows."""

    def __init__(self, work: Callable[[T], None], most: int, log: logging.Logger) -> None:
        self._work, self._queue, self._log = work, queue.Queue[T](most), log
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
            except Exception:  # noqa: BLE001 - it is logged
                self._log.exception("writing in the background failed")
            finally:
                self._queue.task_done()
