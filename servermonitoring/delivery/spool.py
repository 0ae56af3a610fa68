"""A directory in front of the network: what has to be delivered is in it until the other side has taken it.

Whoever puts something in never waits for the network and never sees an error. `drain` delivers (sender.py).
A file is one delivery: its name tells when it was put in, which others have to come before it, and how many tries
failed while others went through. `refused/` keeps what will never be taken, with the reason in the name.
"""

import contextlib
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from servermonitoring.delivery.entries import LARGEST, PAUSE, REASON, REFUSED, Delivery, Tally, listing, names
from servermonitoring.files import private_directory, read_regular, remove_abandoned, write_whole
from servermonitoring.scrubbing import scrub
from servermonitoring.values import in_words, size_in_words

if TYPE_CHECKING:
    from servermonitoring.delivery.connection import Line
    from servermonitoring.delivery.responses import Answer
    from servermonitoring.delivery.sender import Drain

MOST_FILES = 2000
MOST_BYTES = 100_000_000
OLDEST = 30 * 86400.0  # seconds; Sentry takes nothing older
_MOST_REFUSED = 200  # files
_MOST_IN_MEMORY = 100  # deliveries that could not be written


class Recipient(Protocol):
    """To whom it is delivered, and how it is put on the wire."""

    name: str  # in messages: "Sentry"

    def line(self) -> "Line": ...

    def prepare(self, content: bytes, delivery: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the POST. Raises ValueError for what can never be sent."""

    def has_taken(self, content: bytes, answer: "Answer") -> bool:
        """Whether an answer with a status of success says that this arrived."""


class Spool:
    """`put` and `drain`, from any thread."""

    def __init__(self, directory: Path, recipient: Recipient) -> None:
        self.directory, self.recipient = directory, recipient
        self._changing = threading.Lock()
        self._tally = Tally()
        self._in_memory: list[Delivery] = []
        self._lost: set[str] = set()  # names of those that were too many even for that
        self._draining: Drain | None = None
        self._unwritable = ""  # why, in words
        self._files = self._bytes = -1  # about how many there are; -1: not counted yet

    def put(self, content: bytes, key: str = "") -> Delivery | None:
        """Keep it until it is delivered. Those of one key arrive in the order in which they were put in.

        Return it, with its content where it could not be written and is in memory only; None for one that is too large.
        """
        if len(content) > LARGEST:
            self.note(f"dropped: {size_in_words(len(content))} are too much for one delivery", dropped=1)
            return None
        new = Delivery.new(key)
        try:
            private_directory(self.directory, root_may_share=True)
            self._make_room(len(content))
            write_whole(self.directory / new.name, content)
            self._unwritable = ""
        except OSError as error:
            self._unwritable = f"the spool {self.directory} cannot be written: {error.strerror or error}"
            new = replace(new, content=content, size=len(content))
            self._keep_in_memory(new)
        return new

    def has_left_memory(self, delivery: Delivery) -> bool:
        """Whether one that could not be written was delivered, or written, since."""
        with self._changing:
            return delivery.name not in self._lost | {each.name for each in self._in_memory}

    def drain(self, budget: float) -> Tally:
        """Deliver what waits, in so many seconds at most, whatever the other side does."""
        if not self.waiting():
            return self.tally()
        from servermonitoring.delivery.sender import Drain

        self._draining = Drain(self, budget)
        try:
            self._draining.run()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told, and what waits goes on waiting
            self.note(f"the spool {self.directory} could not be delivered: {error!r}")
        self._draining = None
        return self.tally()

    def hasten(self, budget: float) -> None:
        """The drain under way in another thread has only so many seconds left."""
        if (draining := self._draining) is not None:
            draining.hasten(budget)

    def tally(self) -> Tally:
        there = listing(self.directory)
        with self._changing:
            waiting = [*self._in_memory, *there.deliveries]
        lost = self._tally.refused or self._tally.dropped
        error = "; ".join(filter(None, [self._tally.error if waiting or lost else "", self._unwritable]))
        oldest = max(0.0, time.time() - min(each.time for each in waiting) / 1e9) if waiting else None
        return replace(self._tally, waiting=len(waiting), oldest=oldest, error=error, odd=there.odd)

    def waiting(self) -> list[Delivery]:
        """Everything that waits, in the order in which it is to be delivered."""
        with self._changing:
            return sorted([*self._in_memory, *listing(self.directory).deliveries])

    def note(self, error: str = "", *, sent: int = 0, refused: int = 0, dropped: int = 0) -> None:
        """Count, and remember what went wrong."""
        with self._changing:
            now = self._tally
            self._tally = replace(
                now,
                sent=now.sent + sent,
                refused=now.refused + refused,
                dropped=now.dropped + dropped,
                error=scrub(error) or now.error,
            )

    # What the draining needs.

    def read(self, delivery: Delivery) -> bytes:
        """Raises OSError."""
        if delivery.content is not None:
            return delivery.content
        return read_regular(self.directory / delivery.name, LARGEST)

    def remove(self, delivery: Delivery) -> None:
        """It has arrived, or is to be forgotten. Raises OSError."""
        if delivery.content is None:
            (self.directory / delivery.name).unlink(missing_ok=True)
            return
        with self._changing:
            self._in_memory = [each for each in self._in_memory if each.name != delivery.name]

    def put_aside(self, delivery: Delivery, why: str, reason: str = "") -> None:
        """Into refused/, with `why` as the end of its name; `reason` is what the check of the alerts shows.

        Raises OSError.
        """
        refused = private_directory(self.directory / REFUSED, root_may_share=True)
        target = refused / f"{delivery.identity}.{why}"
        if delivery.content is None:
            (self.directory / delivery.name).rename(target)
            os.utime(target, follow_symlinks=False)  # it was refused now
        else:
            write_whole(target, delivery.content)
            self.remove(delivery)
        self.note(refused=1)
        write_whole(self.directory / REASON, scrub(reason or why), durable=False)
        for name in sorted(names(refused))[:-_MOST_REFUSED]:
            with contextlib.suppress(OSError):
                (refused / name).unlink()

    def count_attempt(self, delivery: Delivery) -> None:
        """One more try failed while others went through. Raises OSError."""
        if delivery.content is None:
            another = f"{delivery.identity}.{delivery.attempts + 1}"
            (self.directory / delivery.name).rename(self.directory / another)

    def write_back(self) -> None:
        """What is in memory only goes to the disk, if that works again."""
        for each in [each for each in self._in_memory if each.content is not None]:
            with contextlib.suppress(OSError):
                write_whole(private_directory(self.directory, root_may_share=True) / each.name, each.content or b"")
                self.remove(each)

    def tidy(self) -> None:
        """Drop what is too old, and what a writer that was killed left half written."""
        now = time.time()
        for each in listing(self.directory).deliveries:
            if now - each.time / 1e9 > OLDEST:
                self._drop(each, f"older than {in_words(OLDEST)}")
        remove_abandoned(self.directory)
        remove_abandoned(self.directory / REFUSED)

    def pause(self) -> float:
        """Seconds for which the other side wants nothing more, as it has said to any process."""
        try:
            until = float(json.loads(read_regular(self.directory / PAUSE, 1000))["until"])
        except (OSError, ValueError, TypeError, KeyError, OverflowError):
            return 0.0
        rest = until - time.time()
        return max(0.0, rest) if rest < OLDEST else 0.0  # else the clock was set

    def remember_pause(self, seconds: float) -> None:
        with contextlib.suppress(OSError):
            text = json.dumps({"until": time.time() + seconds})
            write_whole(self.directory / PAUSE, text, durable=False)

    def _make_room(self, size: int) -> None:
        """Count the files only when it may matter: listing thousands for each one takes long."""
        if self._files < 0 or self._files >= MOST_FILES or self._bytes + size > MOST_BYTES:
            self._drop_the_oldest(size)
        self._files += 1
        self._bytes += size

    def _drop_the_oldest(self, size: int) -> None:
        there = sorted(listing(self.directory).deliveries, key=_age)
        count, total = len(there), sum(each.size for each in there)
        for each in there:
            if count < MOST_FILES and total + size <= MOST_BYTES:
                break
            self._drop(each, f"more than {MOST_FILES} files or {MOST_BYTES // 10**6} MB")
            count, total = count - 1, total - each.size
        self._files, self._bytes = count, total

    def _drop(self, delivery: Delivery, why: str) -> None:
        try:
            self.remove(delivery)
            self.note(f"dropped from the spool: {why}", dropped=1)
        except OSError as error:
            self.note(f"the spool {self.directory} cannot be tidied: {error.strerror}")

    def _keep_in_memory(self, delivery: Delivery) -> None:
        with self._changing:
            self._in_memory.append(delivery)
            lost, self._in_memory = self._in_memory[:-_MOST_IN_MEMORY], self._in_memory[-_MOST_IN_MEMORY:]
            self._lost |= {each.name for each in lost}
        if lost:
            self.note(dropped=len(lost))


def _age(delivery: Delivery) -> int:
    return delivery.time
