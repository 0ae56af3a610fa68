"""Network side of delivery: sends what waits in a spool, in parallel and within a time budget.

Entries of one key are sent in their order. All waiting for the network happens in daemon threads: a name server or a
server that never responds holds those up, but not the caller. A lock on the directory keeps two processes from
sending the same entry; it stays until the last thread has ended.
"""

import fcntl
import os
import random
import threading
from bisect import insort
from collections import deque
from collections.abc import Iterable

from servermonitoring import clock, threads
from servermonitoring.delivery.attempt import Attempt, Connection, DeliveryOutcome, Destination, attempt
from servermonitoring.delivery.spool import Spool, SpoolEntry
from servermonitoring.values import in_words

_LEAST_WORKERS = 4
_GROWTH = 4  # more for each response
_PER_WORKER = 2  # waiting entries for which one more connection pays
_FAILING = 4  # failures in a row, after which newest and oldest are tried in turn
_HOPELESS = 20  # failures in a row, after which the pass ends
_GIVEN_UP = 10  # failed attempts while others were delivered
_JITTER = 0.1  # part by which a pause is lengthened, so that hosts do not go on all at once
_LOCK_POLL = 0.02  # seconds
_SMALL = 1_000_000  # bytes
_MOST_LARGE = 40_000_000  # bytes of larger ones in one pass: all in progress may be in memory at once


class Sender:
    """One pass over what waits."""

    def __init__(self, spool: Spool, destination: Destination, budget: float) -> None:
        self.spool, self._destination, self._budget = spool, destination, budget
        self._end = clock.monotonic() + budget
        self._state = threading.Condition()  # guards all below
        self._queue = EntryQueue()
        self._since: dict[SpoolEntry, float] = {}  # entry in progress → start, monotonic seconds
        self._failed: list[SpoolEntry] = []
        self._stopped = False
        self._paused_until = 0.0  # monotonic seconds
        self._connections: set[Connection] = set()
        self._workers = self._sent = self._failures_in_row = 0
        self._duration = 0.0  # seconds for the last that was sent: with less left, none is begun
        self._lock: int | None = None

    def run(self) -> None:
        """Send until nothing waits or the budget is used up."""
        if self._budget <= 0 or not self._get_lock():
            return
        try:
            self.spool.write_back()
            self.spool.clean()
            with self._state:
                self._queue = EntryQueue(self._deliverable())
                self._pause(self.spool.pause(), remember=False)
                self._start_workers()
                alone = not self._workers and len(self._queue) > 0
                self._workers += alone
            if alone:  # no thread can be started
                self._work()
            with self._state:
                while self._workers and (rest := self._rest()):
                    self._state.wait(rest)
        finally:
            with self._state:
                self._finish()

    def hasten(self, budget: float) -> None:
        """End in `budget` seconds at most; from another thread."""
        with self._state:
            self._end = min(self._end, clock.monotonic() + budget)
            self._state.notify_all()

    def _rest(self) -> float:
        return max(0.0, self._end - clock.monotonic())

    def _deliverable(self) -> list[SpoolEntry]:
        """Leave out the files of a directory where none can be removed: they would be sent again and again."""
        waiting = _that_fit_in_memory(self.spool.waiting())
        if os.access(self.spool.directory, os.W_OK):
            return waiting
        return [each for each in waiting if each.content is not None]

    def _start_workers(self) -> None:
        """Start a few threads, so that an entry that hangs does not hold up the others; more with each response."""
        waiting = len(self._queue)
        limit = self._destination.most_connections
        most = self._workers + _GROWTH if self._sent else limit // 2
        wanted = min(limit, max(_LEAST_WORKERS, min(most, waiting // _PER_WORKER)))
        for _ in range(min(wanted, waiting) - self._workers):
            self._workers += 1
            if threads.start(self._work, name="sender") is None:
                self._workers -= 1

    def _work(self) -> None:
        connection = self._destination.connection()
        with self._state:
            self._connections.add(connection)
        try:
            while (entry := self._next()) is not None:
                result = attempt(self.spool, self._destination, connection, entry)
                with self._state:
                    self._settle(entry, result)
                    self._state.notify_all()
        finally:
            connection.close()
            with self._state:
                self._connections.discard(connection)
                self._workers -= 1
                self._state.notify_all()
                if self._stopped and not self._workers:
                    self._free_lock()

    def _next(self) -> SpoolEntry | None:
        with self._state:
            while not self._stopped and len(self._queue) and self._rest() > self._duration:
                rest = self._paused_until - clock.monotonic()
                newest = self._failures_in_row >= _FAILING and self._failures_in_row % 2 == 1
                if rest <= 0 and (entry := self._queue.take(newest=newest)):
                    self._since[entry] = clock.monotonic()
                    return entry
                self._state.wait(rest if rest > 0 else None)
        return None

    def _settle(self, entry: SpoolEntry, result: Attempt) -> None:
        began = self._since.pop(entry)
        self._failures_in_row += 1
        if result.outcome in {DeliveryOutcome.SENT, DeliveryOutcome.REFUSED}:
            self._failures_in_row, self._duration = 0, clock.monotonic() - began
            self._queue.done(entry)
            self._take_out(entry, result)
        elif self._stopped:
            return  # cut off
        elif result.outcome is DeliveryOutcome.LIMITED:
            self._queue.put_back(entry)
        else:
            self._queue.skip(entry)
            self._failed.append(entry)
        self.spool.note(result.error)
        self._pause(result.pause)
        if result.outcome is DeliveryOutcome.UNAVAILABLE or self._failures_in_row >= _HOPELESS:
            self._stopped = True

    def _take_out(self, entry: SpoolEntry, result: Attempt) -> None:
        try:
            if result.outcome is DeliveryOutcome.SENT:
                self._sent += 1
                self.spool.note(sent=1)
                self.spool.remove(entry)
                self._start_workers()
            else:
                self.spool.refuse(entry, result.suffix, result.reason)
        except OSError as error:
            self.spool.note(f"the spool {self.spool.directory} cannot be written: {error.strerror}")

    def _pause(self, seconds: float, *, remember: bool = True) -> None:
        if not seconds:
            return
        longer = seconds * random.uniform(1, 1 + _JITTER) if remember else seconds  # noqa: S311 - no secret
        self._paused_until = max(self._paused_until, clock.monotonic() + longer)
        if remember:
            self.spool.remember_pause(longer)
        if seconds > self._rest():
            self.spool.note(f"{self._destination.name} accepts no alerts for {in_words(seconds)}")
            self._stopped = True

    def _finish(self) -> None:
        self._stopped = True
        self._state.notify_all()
        long_ago = clock.monotonic() - self._budget / 2
        self._failed += [each for each, since in self._since.items() if since < long_ago]
        if self._since:
            self.spool.note(f"{self._destination.name} does not respond in time")
        for connection in self._connections:
            connection.cut()
        if self._sent:
            self._count_attempts(self._failed)
        if not self._workers:
            self._free_lock()

    def _count_attempts(self, failed: list[SpoolEntry]) -> None:
        """Count a failed attempt of each, since others were delivered; refuse those with too many."""
        for each in failed:
            try:
                if each.attempts + 1 < _GIVEN_UP:
                    self.spool.count_attempt(each)
                else:
                    self.spool.refuse(each, "given-up")
                    self.spool.note(f"given up after {_GIVEN_UP} attempts while other alerts were delivered")
            except OSError as error:
                self.spool.note(f"the spool {self.spool.directory} cannot be written: {error.strerror}")

    def _get_lock(self) -> bool:
        """Wait for the lock; return False when the budget is used up."""
        try:
            descriptor = os.open(self.spool.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return True  # nothing is on the disk, and memory is this process's own
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if not self._rest():
                    os.close(descriptor)
                    self.spool.note("another process is delivering this spool")
                    return False
                clock.sleep(_LOCK_POLL)
            else:
                self._lock = descriptor
                return True

    def _free_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class EntryQueue:
    """Entries to deliver: oldest first, those of one key one after another. Not thread-safe."""

    def __init__(self, entries: Iterable[SpoolEntry] = ()) -> None:
        self._ready: list[SpoolEntry] = []  # the first of each key of which none is in progress
        self._behind: dict[str, deque[SpoolEntry]] = {}  # key → those after the first
        for each in sorted(entries):
            if each.key in self._behind:
                self._behind[each.key].append(each)
            else:
                self._behind[each.key] = deque()
                self._ready.append(each)
        self.in_progress: set[str] = set()  # keys

    def __len__(self) -> int:
        """Return how many entries can still be taken, now or later."""
        keys = {each.key for each in self._ready} | self.in_progress
        return len(self._ready) + sum(len(self._behind[key]) for key in keys)

    def take(self, *, newest: bool = False) -> SpoolEntry | None:
        """Return the next entry; None if each waits for an earlier one of its key."""
        if not self._ready:
            return None
        chosen = self._ready.pop(-1 if newest else 0)
        self.in_progress.add(chosen.key)
        return chosen

    def done(self, entry: SpoolEntry) -> None:
        """Make the next entry of its key available."""
        self.in_progress.discard(entry.key)
        if self._behind[entry.key]:
            insort(self._ready, self._behind[entry.key].popleft())

    def put_back(self, entry: SpoolEntry) -> None:
        """Make the entry available again."""
        self.in_progress.discard(entry.key)
        insort(self._ready, entry)

    def skip(self, entry: SpoolEntry) -> None:
        """Leave out an entry that failed, and those of its key after it."""
        self.in_progress.discard(entry.key)
        self._behind[entry.key].clear()


def _that_fit_in_memory(waiting: Iterable[SpoolEntry]) -> list[SpoolEntry]:
    """Return as many large entries as memory allows, and all small ones but those that follow a large one left out."""
    chosen, later, room = list[SpoolEntry](), set[str](), _MOST_LARGE
    for each in waiting:
        room -= each.size if each.size > _SMALL else 0
        if room < 0 and each.size > _SMALL:
            later.add(each.key)
        if each.key not in later:
            chosen.append(each)
    return chosen
