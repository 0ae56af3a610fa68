"""Entries of a spool: their file names, their order, what else lies in the directory, and what became of them."""

import contextlib
import hashlib
import os
import re
import stat
import time
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from servermonitoring.values import in_words

_NAME = re.compile(r"(\d{1,20})-(\w{1,64})-\w{1,64}\.(\d{1,4})", re.ASCII)
_SUSPECT = 3  # failed tries while others went through: from now on after the others


@dataclass(frozen=True, order=True)
class Delivery:
    """A file in the spool; or, where none could be written, its content in memory."""

    suspect: bool
    time: int  # when it was put in, unix nanoseconds
    key: str  # those of one key are delivered one after another
    name: str  # of the file: TIME-KEY-OWN.ATTEMPTS
    attempts: int = 0  # tries that failed while others went through
    content: bytes | None = field(default=None, repr=False, compare=False)
    size: int = field(default=0, compare=False)  # bytes

    @classmethod
    def new(cls, key: str = "", content: bytes | None = None) -> "Delivery":
        """One of now; without a key it waits for none."""
        now, own = time.time_ns(), os.urandom(6).hex()
        short = hashlib.sha256((key or own).encode(errors="replace")).hexdigest()[:12]
        return cls(suspect=False, time=now, key=short, name=f"{now:020d}-{short}-{own}.0", content=content)

    @classmethod
    def named(cls, name: str) -> "Delivery | None":
        """The one that has this file; None for another file."""
        found = _NAME.fullmatch(name)
        if not found:
            return None
        moment, key, attempts = found.groups()
        return cls(int(attempts) >= _SUSPECT, int(moment), key, name, int(attempts))

    def of_size(self, size: int) -> "Delivery":
        return replace(self, size=size)

    @property
    def identity(self) -> str:
        """Its name for as long as it lives."""
        return self.name.partition(".")[0]


class Order:
    """The oldest first, those of one key one after another. Not for several threads at once."""

    def __init__(self, deliveries: Iterable[Delivery] = ()) -> None:
        self._ready: list[Delivery] = []  # the first of each key of which nothing is under way
        self._behind: dict[str, deque[Delivery]] = {}  # key → those after the first
        for each in sorted(deliveries):
            if each.key in self._behind:
                self._behind[each.key].append(each)
            else:
                self._behind[each.key] = deque()
                self._ready.append(each)
        self.under_way: set[str] = set()  # keys

    def __len__(self) -> int:
        """How many may still be taken, now or later."""
        keys = {each.key for each in self._ready} | self.under_way
        return len(self._ready) + sum(len(self._behind[key]) for key in keys)

    def take(self, *, newest: bool = False) -> Delivery | None:
        """The next one; None where all wait for those before them."""
        if not self._ready:
            return None
        chosen = self._ready.pop(-1 if newest else 0)
        self.under_way.add(chosen.key)
        return chosen

    def done(self, delivery: Delivery) -> None:
        """The next of its key may go."""
        self.under_way.discard(delivery.key)
        if self._behind[delivery.key]:
            insort(self._ready, self._behind[delivery.key].popleft())

    def again(self, delivery: Delivery) -> None:
        """It was not wanted now."""
        self.under_way.discard(delivery.key)
        insort(self._ready, delivery)

    def leave(self, delivery: Delivery) -> None:
        """It failed: those after it stay for another time, too."""
        self.under_way.discard(delivery.key)
        self._behind[delivery.key].clear()


LARGEST = 20_000_000  # bytes of a delivery; Sentry takes no more
PAUSE, REFUSED = "pause.json", "refused"
REASON = "refused.txt"  # why the last one was refused
_MOST_ENTRIES = 100_000  # that are looked at
_MOST_DELIVERIES = 4000  # twice as many as a spool writes


@dataclass
class Listing:
    """`odd` counts what the spool did not write, is no regular file of its user, or is too large: it is left alone."""

    deliveries: list[Delivery] = field(default_factory=list)
    odd: int = 0


def listing(directory: Path) -> Listing:
    """Return what is there; nothing for a directory that cannot be read."""
    found = Listing()
    try:
        with os.scandir(directory) as entries:
            for _, entry in zip(range(_MOST_ENTRIES), _visible(entries), strict=False):
                with contextlib.suppress(FileNotFoundError):  # delivered meanwhile
                    _add(found, _delivery(entry))
    except OSError:
        return found
    return found


def _add(found: Listing, delivery: Delivery | None) -> None:
    if delivery is None:
        found.odd += 1
    else:
        found.deliveries.append(delivery)
        _bound(found.deliveries)


def names(directory: Path) -> list[str]:
    """Return the names in a directory, or as many as are looked at. Raise OSError."""
    with os.scandir(directory) as entries:
        return [entry.name for _, entry in zip(range(_MOST_ENTRIES), entries, strict=False)]


def _visible(entries: Iterator["os.DirEntry[str]"]) -> Iterator["os.DirEntry[str]"]:
    """Without what is half written, and the spool's own."""
    return (each for each in entries if not each.name.startswith(".") and each.name not in (PAUSE, REFUSED, REASON))


def _delivery(entry: "os.DirEntry[str]") -> Delivery | None:
    delivery = Delivery.named(entry.name)
    if delivery is None:
        return None
    status = entry.stat(follow_symlinks=False)
    is_ours = os.geteuid() in (0, status.st_uid) or status.st_uid == 0
    if not stat.S_ISREG(status.st_mode) or not is_ours or status.st_size > LARGEST:
        return None
    return delivery.of_size(status.st_size)


def _bound(deliveries: list[Delivery]) -> None:
    """The oldest stay."""
    if len(deliveries) >= 2 * _MOST_DELIVERIES:
        deliveries.sort(key=lambda each: each.time)
        del deliveries[_MOST_DELIVERIES:]


_WORTH_TELLING = 60.0  # seconds of waiting


@dataclass(frozen=True)
class Tally:
    """Counts are of this process, but for `waiting` and `odd`: what is there now."""

    sent: int = 0
    waiting: int = 0
    refused: int = 0  # put aside in refused/
    dropped: int = 0  # too many, too much or too old
    odd: int = 0  # files in the spool's directory that are none of its own
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
        odd = f"{self.odd} file{'s' if self.odd > 1 else ''} in the spool that it did not write" if self.odd else ""
        return "; ".join(filter(None, [", ".join(told) or "nothing to send", self.error, self.check_in, odd]))
