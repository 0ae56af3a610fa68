"""Delivers in the background: in the suite while its probes run, in the watchdog for as long as it runs."""

import threading
import time
from collections.abc import Callable  # noqa: TC003 - no more to load

from servermonitoring import threads
from servermonitoring.delivery.entries import Tally
from servermonitoring.delivery.spool import Spool

_BUDGET = 60.0  # seconds for one go
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 300.0  # seconds until the next try while something waits


class Courier:
    """A daemon thread that drains a spool: at its start, when something was put in, and while something waits."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.tell: Callable[[Tally], object] = lambda _tally: None  # called after each go
        self._state = threading.Condition()
        self._news, self._stopped = True, False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threads.start(self._work, name="courier")

    def wake(self) -> None:
        """Something was put in."""
        with self._state:
            self._news = True
            self._state.notify_all()

    def finish(self, budget: float) -> Tally:
        """End, and deliver what still waits, in so many seconds at most, whatever the other side does."""
        end = time.monotonic() + budget
        with self._state:
            self._stopped = True
            self._state.notify_all()
        self._spool.hasten(0.9 * budget)  # so that its last word is heard
        if self._thread and self._thread.is_alive():
            self._thread.join(budget)
        return self._spool.drain(end - time.monotonic())

    def _work(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopped:
            self._news = False
            tally = self._spool.drain(_BUDGET)
            self.tell(tally)
            wait = _FIRST_WAIT if not tally.waiting else min(2 * wait, _LONGEST_WAIT)
            with self._state:
                self._state.wait_for(lambda: self._news or self._stopped, wait if tally.waiting else None)
