"""Delivers what waits in a spool: side by side, those of one key in their order, within a budget of seconds.

All waiting for the network happens in daemon threads. A name server or a server that never answers can hold those
up for as long as it likes, but not the caller. A lock on the directory keeps two processes from delivering the
same; it stays until the last thread has ended.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from servermonitoring import threads
from servermonitoring.delivery.entries import Delivery, Order
from servermonitoring.delivery.responses import Fate, UnansweredError, UnreachableError
from servermonitoring.delivery.spool import Spool
from servermonitoring.values import in_words

if TYPE_CHECKING:
    from servermonitoring.delivery.connection import Line
    from servermonitoring.delivery.responses import Answer
    from servermonitoring.delivery.spool import Recipient


_TIMEOUT = 10.0  # seconds for each step


@dataclass(frozen=True)
class Outcome:
    """Of one try."""

    fate: Fate
    told: str = ""  # what went wrong, in words
    pause: float = 0.0  # seconds for which the other side wants nothing more
    why: str = ""  # the end of its name in refused/
    reason: str = ""  # the status of the answer, and its first words


def try_one(spool: "Spool", line: "Line", delivery: "Delivery") -> Outcome:
    """Read it, send it, and understand the answer."""
    recipient = spool.recipient
    try:
        content = spool.read(delivery)
        body, headers = recipient.prepare(content, delivery.identity)
        answer = line.post(body, headers, _TIMEOUT)
    except FileNotFoundError:
        return Outcome(Fate.SENT)  # somebody removed it
    except OSError as error:
        return Outcome(Fate.LATER, f"{delivery.name} in the spool cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:
        return Outcome(Fate.REFUSED, f"{delivery.name} in the spool is damaged: {error}", why="damaged")
    except UnreachableError as error:
        return Outcome(Fate.CLOSED, f"{recipient.name} cannot be reached: {error}")
    except UnansweredError as error:
        return Outcome(Fate.LATER, f"{recipient.name}: {error}")
    return _understood(recipient, content, answer)


def _understood(recipient: "Recipient", content: bytes, answer: "Answer") -> Outcome:
    fate, told = answer.fate, f"{recipient.name} answers {answer.in_words()}"
    if fate is Fate.SENT:
        if recipient.has_taken(content, answer):
            return Outcome(fate, pause=answer.pause())
        told += f" without saying that it took the alert: is it {recipient.name} at all?"
        return Outcome(Fate.LATER, told)
    if fate is Fate.CLOSED:
        told += ": are its address and its key right?"
    reason = f"answers {answer.in_words()}{answer.first_words()}"
    return Outcome(fate, told, answer.pause(), f"answered-{answer.status}", reason)


_LEAST_LANES, _MOST_LANES = 4, 32
_GROWTH = 4  # more for each answer
_PER_LANE = 2  # deliveries for which one more connection is worth its while
_ILL = 4  # failures in a row, after which the newest are tried in turn with the oldest
_HOPELESS = 20  # failures in a row, after which it is left for the next time
_GIVEN_UP = 10  # failed tries while others went through
_LOOK_AGAIN = 0.02  # seconds, for the lock
_SMALL = 1_000_000  # bytes
_MOST_LARGE = 40_000_000  # bytes of larger ones in one go: all under way may be in memory at once


class Drain:
    """One go at what waits."""

    def __init__(self, spool: Spool, budget: float) -> None:
        self.spool, self._budget = spool, budget
        self._end = time.monotonic() + budget
        self._state = threading.Condition()  # guards all below
        self._order = Order()
        self._since: dict[Delivery, float] = {}  # what is under way, and since when
        self._failed: list[Delivery] = []
        self._stopped = False
        self._paused = 0.0  # until, in monotonic seconds
        self._lines: set[Line] = set()
        self._lanes = self._sent = self._in_row = 0
        self._takes = 0.0  # seconds for the last that was sent: with less left, none is begun
        self._lock: int | None = None

    def run(self) -> None:
        if self._budget <= 0 or not self._get_lock():
            return
        try:
            self.spool.write_back()
            self.spool.tidy()
            with self._state:
                self._order = Order(self._deliverable())
                self._pause(self.spool.pause(), remember=False)
                self._open_lanes()
                alone = not self._lanes and len(self._order) > 0
                self._lanes += alone
            if alone:  # no thread is to be had
                self._work()
            with self._state:
                while self._lanes and (rest := self._rest()):
                    self._state.wait(rest)
        finally:
            with self._state:
                self._finish()

    def hasten(self, budget: float) -> None:
        """Be done in so many seconds; from another thread."""
        with self._state:
            self._end = min(self._end, time.monotonic() + budget)
            self._state.notify_all()

    def _rest(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def _deliverable(self) -> list[Delivery]:
        """From a directory where nothing can be removed nothing is delivered: it would be, again and again."""
        waiting = _held_in_memory(self.spool.waiting())
        if os.access(self.spool.directory, os.W_OK):
            return waiting
        return [each for each in waiting if each.content is not None]

    def _open_lanes(self) -> None:
        """A few at first, so that one that hangs does not hold up the others; more with each answer."""
        waiting = len(self._order)
        most = self._lanes + _GROWTH if self._sent else _MOST_LANES // 2
        wanted = max(_LEAST_LANES, min(_MOST_LANES, most, waiting // _PER_LANE))
        for _ in range(min(wanted, waiting) - self._lanes):
            self._lanes += 1
            if threads.start(self._work, name="spool") is None:
                self._lanes -= 1

    def _work(self) -> None:
        line = self.spool.recipient.line()
        with self._state:
            self._lines.add(line)
        try:
            while (delivery := self._next()) is not None:
                outcome = try_one(self.spool, line, delivery)
                with self._state:
                    self._settle(delivery, outcome)
                    self._state.notify_all()
        finally:
            line.close()
            with self._state:
                self._lines.discard(line)
                self._lanes -= 1
                self._state.notify_all()
                if self._stopped and not self._lanes:
                    self._free_lock()

    def _next(self) -> Delivery | None:
        with self._state:
            while not self._stopped and len(self._order) and self._rest() > self._takes:
                rest = self._paused - time.monotonic()
                ill = self._in_row >= _ILL and self._in_row % 2 == 1
                if rest <= 0 and (delivery := self._order.take(newest=ill)):
                    self._since[delivery] = time.monotonic()
                    return delivery
                self._state.wait(rest if rest > 0 else None)
        return None

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        began = self._since.pop(delivery)
        self._in_row += 1
        if outcome.fate in {Fate.SENT, Fate.REFUSED}:
            self._in_row, self._takes = 0, time.monotonic() - began
            self._order.done(delivery)
            self._take_out(delivery, outcome)
        elif self._stopped:
            return  # cut off
        elif outcome.fate is Fate.LIMITED:
            self._order.again(delivery)
        else:
            self._order.leave(delivery)
            self._failed.append(delivery)
        self.spool.note(outcome.told)
        self._pause(outcome.pause)
        if outcome.fate is Fate.CLOSED or self._in_row >= _HOPELESS:
            self._stopped = True

    def _take_out(self, delivery: Delivery, outcome: Outcome) -> None:
        try:
            if outcome.fate is Fate.SENT:
                self._sent += 1
                self.spool.note(sent=1)
                self.spool.remove(delivery)
                self._open_lanes()
            else:
                self.spool.put_aside(delivery, outcome.why, outcome.reason)
        except OSError as error:
            self.spool.note(f"the spool {self.spool.directory} cannot be written: {error.strerror}")

    def _pause(self, seconds: float, *, remember: bool = True) -> None:
        if not seconds:
            return
        self._paused = max(self._paused, time.monotonic() + seconds)
        if remember:
            self.spool.remember_pause(seconds)
        if seconds > self._rest():
            self.spool.note(f"{self.spool.recipient.name} wants nothing for {in_words(seconds)}")
            self._stopped = True

    def _finish(self) -> None:
        self._stopped = True
        self._state.notify_all()
        long_ago = time.monotonic() - self._budget / 2
        self._failed += [each for each, since in self._since.items() if since < long_ago]
        if self._since:
            self.spool.note(f"{self.spool.recipient.name} gives no answer in time")
        for line in self._lines:
            line.cut()
        if self._sent:
            self._blame(self._failed)
        if not self._lanes:
            self._free_lock()

    def _blame(self, failed: list[Delivery]) -> None:
        """While others went through these did not: is it them?"""
        for each in failed:
            try:
                if each.attempts + 1 < _GIVEN_UP:
                    self.spool.count_attempt(each)
                else:
                    self.spool.put_aside(each, "given-up")
                    self.spool.note(f"given up after {_GIVEN_UP} tries, in which others went through")
            except OSError as error:
                self.spool.note(f"the spool {self.spool.directory} cannot be written: {error.strerror}")

    def _get_lock(self) -> bool:
        """Wait for another process that delivers; give up when the budget is used up."""
        try:
            descriptor = os.open(self.spool.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return True  # nothing is on the disk, and what is in memory no one else has
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if not self._rest():
                    os.close(descriptor)
                    self.spool.note("another process is delivering")
                    return False
                time.sleep(_LOOK_AGAIN)
            else:
                self._lock = descriptor
                return True

    def _free_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _held_in_memory(waiting: Iterable[Delivery]) -> list[Delivery]:
    """As many large ones as there is memory to spare, and all small ones but those that come after a large one."""
    chosen, later, room = list[Delivery](), set[str](), _MOST_LARGE
    for each in waiting:
        room -= each.size if each.size > _SMALL else 0
        if room < 0 and each.size > _SMALL:
            later.add(each.key)
        if each.key not in later:
            chosen.append(each)
    return chosen
