"""A directory in front of the network: what has to be delivered is in it until the other side has taken it.

Whoever puts something in never waits for the network and never sees an error. `drain` delivers (draining.py).
A file is one delivery: its name tells when it was put in, which others have to come before it, and how many tries
failed while others went through. `refused/` keeps what will never be taken, with the reason in the name.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from servermonitoring.delivery import Delivery
from servermonitoring.files import private_directory, write_whole
from servermonitoring.scrubbing import scrub
from servermonitoring.values import in_words, size_in_words

if TYPE_CHECKING:
    from servermonitoring.draining import Drain
    from servermonitoring.posting import Line

MOST_FILES = 2000
MOST_BYTES = 100_000_000
OLDEST = 30 * 86400.0  # seconds; Sentry takes nothing older
_LARGEST = 20_000_000  # bytes; Sentry takes no more
_MOST_REFUSED = 200  # files
_MOST_IN_MEMORY = 100  # deliveries that could not be written
_ABANDONED = 3600.0  # seconds after which what was never renamed has no writer any more
_WORTH_TELLING = 60.0  # seconds of waiting
_PAUSE = "pause.json"


class Recipient(Protocol):
    """To whom it is delivered, and how it is put on the wire."""

    name: str  # in messages: "Sentry"

    def line(self) -> "Line": ...

    def prepare(self, content: bytes, delivery: str) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the POST. Raises ValueError for what can never be sent."""


@dataclass(frozen=True)
class Tally:
    """What has become of it all: for a run's summary. Counts are of this process, `waiting` is what is there now."""

    sent: int = 0
    waiting: int = 0
    refused: int = 0  # put aside in refused/
    dropped: int = 0  # too many, too much or too old
    error: str = ""  # what last went wrong and still matters, in words, without secrets
    check_in: str = ""  # what went wrong with the last check-in
    oldest: float | None = None  # seconds for which the oldest has waited

    def __str__(self) -> str:
        """As in: 3 sent, 2 waiting (the oldest for 20 min), 1 refused; Sentry answers 502 Bad Gateway."""
        age = (
            f" (the oldest for {in_words(round(self.oldest))})" if self.oldest and self.oldest >= _WORTH_TELLING else ""
        )
        counts = [(self.sent, "sent"), (self.waiting, f"waiting{age}"), (self.refused, "refused")]
        told = [f"{count} {what}" for count, what in [*counts, (self.dropped, "dropped")] if count]
        return "; ".join(filter(None, [", ".join(told) or "nothing to send", self.error, self.check_in]))


class Spool:
    """`put` and `drain`, from any thread."""

    def __init__(self, directory: Path, recipient: Recipient) -> None:
        self.directory, self.recipient = directory, recipient
        self._changing = threading.Lock()
        self._tally = Tally()
        self._in_memory: list[Delivery] = []
        self._draining: Drain | None = None
        self._unwritable = ""  # why, in words
        self._files = self._bytes = -1  # about how many there are; -1: not counted yet

    def put(self, content: bytes, key: str = "") -> None:
        """Keep it until it is delivered. Those of one key arrive in the order in which they were put in."""
        if len(content) > _LARGEST:
            self.note(f"dropped: {size_in_words(len(content))} are too much for one delivery", dropped=1)
            return
        new = Delivery.new(key)
        try:
            private_directory(self.directory, root_may_share=True)
            self._make_room(len(content))
            write_whole(self.directory / new.name, content)
            self._unwritable = ""
        except OSError as error:
            self._unwritable = f"the spool {self.directory} cannot be written: {error.strerror or error}"
            self._keep_in_memory(replace(new, content=content))

    def drain(self, budget: float) -> Tally:
        """Deliver what waits, in so many seconds at most, whatever the other side does."""
        if not self.waiting():
            return self.tally()
        from servermonitoring.draining import Drain

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
        waiting = self.waiting()
        lost = self._tally.refused or self._tally.dropped
        error = (self._tally.error if waiting or lost else "") or self._unwritable
        oldest = max(0.0, time.time() - min(each.time for each in waiting) / 1e9) if waiting else None
        return replace(self._tally, waiting=len(waiting), oldest=oldest, error=error)

    def waiting(self) -> list[Delivery]:
        """Everything that waits, in the order in which it is to be delivered."""
        with self._changing:
            return sorted([*self._in_memory, *self._on_disk()])

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
        return (self.directory / delivery.name).read_bytes() if delivery.content is None else delivery.content

    def remove(self, delivery: Delivery) -> None:
        """It has arrived, or is to be forgotten. Raises OSError."""
        if delivery.content is None:
            (self.directory / delivery.name).unlink(missing_ok=True)
            return
        with self._changing:
            self._in_memory = [each for each in self._in_memory if each.name != delivery.name]

    def put_aside(self, delivery: Delivery, why: str) -> None:
        """Into refused/, with the reason as the end of its name. Raises OSError."""
        refused = private_directory(self.directory / "refused", root_may_share=True)
        target = refused / f"{delivery.identity}.{why}"
        if delivery.content is None:
            (self.directory / delivery.name).rename(target)
        else:
            write_whole(target, delivery.content)
            self.remove(delivery)
        self.note(refused=1)
        for path in sorted(refused.iterdir())[:-_MOST_REFUSED]:
            path.unlink(missing_ok=True)

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
        for each in self._on_disk():
            if now - each.time / 1e9 > OLDEST:
                self._drop(each, f"older than {in_words(OLDEST)}")
        with contextlib.suppress(OSError):
            for path in self.directory.glob(".*"):
                if now - path.lstat().st_mtime > _ABANDONED:
                    path.unlink()

    def pause(self) -> float:
        """Seconds for which the other side wants nothing more, as it has said to any process."""
        try:
            until = float(json.loads((self.directory / _PAUSE).read_bytes())["until"])
        except (OSError, ValueError, TypeError, KeyError):
            return 0.0
        rest = until - time.time()
        return max(0.0, rest) if rest < OLDEST else 0.0  # else the clock was set

    def remember_pause(self, seconds: float) -> None:
        with contextlib.suppress(OSError):
            text = json.dumps({"until": time.time() + seconds})
            write_whole(self.directory / _PAUSE, text, durable=False)

    def _on_disk(self) -> Iterator[Delivery]:
        try:
            names = os.listdir(self.directory)  # noqa: PTH208 - thousands of names need no Path each
        except OSError:
            return
        for name in names:
            if (found := Delivery.named(name)) is not None:
                yield found

    def _make_room(self, size: int) -> None:
        """Count the files only when it may matter: listing thousands for each one takes long."""
        if self._files < 0 or self._files >= MOST_FILES or self._bytes + size > MOST_BYTES:
            self._drop_the_oldest(size)
        self._files += 1
        self._bytes += size

    def _drop_the_oldest(self, size: int) -> None:
        sizes = {each: _size(self.directory / each.name) for each in sorted(self._on_disk(), key=_age)}
        count, total = len(sizes), sum(sizes.values())
        for each, its_size in sizes.items():
            if count < MOST_FILES and total + size <= MOST_BYTES:
                break
            self._drop(each, f"more than {MOST_FILES} files or {MOST_BYTES // 10**6} MB")
            count, total = count - 1, total - its_size
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
        if lost:
            self.note(dropped=len(lost))


def _age(delivery: Delivery) -> int:
    return delivery.time


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
