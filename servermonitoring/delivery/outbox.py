"""Delivery in the background: in the suite while its probes run, in the watchdog for as long as it runs.

`DocumentService` is a channel that is given documents: its spool, its outbox, and what it is sent by.
"""

import json
import random
import threading
from collections.abc import Callable  # noqa: TC003 - no more to load
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring import clock, threads
from servermonitoring.delivery.spool import Spool, SpoolEntry, Tally
from servermonitoring.scrubbing import scrubbed

if TYPE_CHECKING:
    from servermonitoring.delivery.attempt import Attempt, Destination
    from servermonitoring.delivery.sender import Sender

_BUDGET = 60.0  # seconds for one pass
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 300.0  # seconds until the next pass while entries wait
_JITTER = 0.25  # part by which a wait varies, so that hosts do not retry all at once


class Outbox:
    """A daemon thread that delivers a spool: at its start, after `wake`, and repeatedly while entries wait."""

    def __init__(self, spool: Spool, destination: "Destination") -> None:
        self._spool, self._destination = spool, destination
        self.on_pass: Callable[[Tally], object] = lambda _tally: None  # called after each pass of the thread
        self._state = threading.Condition()
        self._is_awake, self._is_stopped = True, False
        self._thread: threading.Thread | None = None
        self._sender: Sender | None = None  # the pass in progress

    def start(self) -> None:
        """Start the thread."""
        self._thread = threads.start(self._work, name="outbox")

    def wake(self) -> None:
        """Deliver a new entry now."""
        with self._state:
            self._is_awake = True
            self._state.notify_all()

    def finish(self, budget: float) -> Tally:
        """Stop the thread and deliver what waits, in `budget` seconds at most, whatever the receiver does."""
        end = clock.monotonic() + budget
        with self._state:
            self._is_stopped = True
            self._state.notify_all()
        if (sender := self._sender) is not None:
            sender.hasten(0.9 * budget)  # so that its last response is read
        if self._thread and self._thread.is_alive():
            self._thread.join(budget)
        return self.deliver(end - clock.monotonic())

    def deliver(self, budget: float) -> Tally:
        """Deliver what waits, in `budget` seconds at most, whatever the receiver does."""
        if not self._spool.waiting():
            return self._spool.tally()
        from servermonitoring.delivery.sender import Sender

        self._sender = Sender(self._spool, self._destination, budget)
        try:
            self._sender.run()
        except Exception as error:  # noqa: BLE001 - it is reported, and what waits goes on waiting
            self._spool.note(f"the spool {self._spool.directory} could not be delivered: {error!r}")
        self._sender = None
        return self._spool.tally()

    def try_once(self, entry: "SpoolEntry", budget: float) -> "Attempt":
        """Send this entry alone, in `budget` seconds at most, and return what came of it; it stays in the spool."""
        from servermonitoring.delivery.attempt import Attempt, DeliveryOutcome, attempt

        connection = self._destination.connection()
        try:
            return threads.bounded(lambda: attempt(self._spool, self._destination, connection, entry), budget)
        except TimeoutError:
            connection.cut()
            return Attempt(DeliveryOutcome.RETRY, f"{self._destination.name} does not respond within {budget:g} s")
        finally:
            connection.close()

    def _work(self) -> None:
        wait = _FIRST_WAIT
        while not self._is_stopped:
            self._is_awake = False
            tally = self.deliver(_BUDGET)
            self.on_pass(tally)
            wait = _FIRST_WAIT if not tally.waiting else min(2 * wait, _LONGEST_WAIT)
            with self._state:
                pause = jittered(wait) if tally.waiting else None
                self._state.wait_for(lambda: self._is_awake or self._is_stopped, pause)


def jittered(seconds: float) -> float:
    """Return a random time around it, which differs from host to host."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret


class DocumentService:
    """A destination for the documents of alerts (docs/alerts.md shows one), and its spool."""

    def __init__(self, destination: "Destination", directory: Path) -> None:
        self.destination = destination
        self.spool = Spool(directory)
        self.outbox = Outbox(self.spool, destination)

    def post(self, document: dict[str, Any], key: str = "") -> SpoolEntry | None:
        """Put a document into the spool; return its entry, or None if it cannot be created.

        Those of one key arrive in the order in which they were posted.
        """
        entry = None
        try:
            entry = self.spool.put(json.dumps(scrubbed(document)).encode(), key)
        except (TypeError, ValueError, RecursionError) as error:
            self.spool.note(f"a document for {self.destination.name} could not be created: {error}", dropped=1)
        self.outbox.wake()
        return entry

    def start(self) -> None:
        """Deliver in the background from now on."""
        self.outbox.start()

    def finish(self, budget: float) -> Tally:
        """Deliver what waits, in `budget` seconds at most, and stop."""
        return self.outbox.finish(budget)

    def tally(self) -> Tally:
        """Return the delivery counts."""
        return self.spool.tally()
