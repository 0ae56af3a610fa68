"""Spool entries: file names, order of delivery, directory listing and delivery counts."""

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
_SUSPECT = 3  # failed attempts while others were delivered: from then on delivered last


@dataclass(frozen=True, order=True)
class SpoolEntry:
    """A file in the spool or, where none could be written, its content in memory."""

    suspect: bool
    time: int  # of creation, unix nanoseconds
    key: str  # entries of one key are delivered one after another
    name: str  # of the file: TIME-KEY-OWN.ATTEMPTS
    attempts: int = 0  # failed while others were delivered
    content: bytes | None = field(default=None, repr=False, compare=False)
    size: int = field(default=0, compare=False)  # bytes

    @classmethod
    def new(cls, key: str = "", content: bytes | None = None) -> "SpoolEntry":
        """Return an entry created now; without a key it waits for no other."""
        now, own = time.time_ns(), os.urandom(6).hex()
        short = hashlib.sha256((key or own).encode(errors="replace")).hexdigest()[:12]
        return cls(suspect=False, time=now, key=short, name=f"{now:020d}-{short}-{own}.0", content=content)

    @classmethod
    def from_name(cls, name: str) -> "SpoolEntry | None":
        """Return the entry of a file name; None if a spool does not write such names."""
        found = _NAME.fullmatch(name)
        if not found:
            return None
        moment, key, attempts = found.groups()
        return cls(int(attempts) >= _SUSPECT, int(moment), key, name, int(attempts))

    def with_size(self, size: int) -> "SpoolEntry":
        return replace(self, size=size)

    @property
    def identity(self) -> str:
        """The name without the count of attempts: it never changes."""
        return self.name.partition(".")[0]


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


LARGEST = 20_000_000  # bytes of an entry; Sentry takes no more
PAUSE, REFUSED = "pause.json", "refused"
REASON = "refused.txt"  # the reason of the last refusal
_MOST_NAMES = 100_000  # names of a directory that are read
_MOST_ENTRIES = 4000  # twice as many as a spool writes


@dataclass
class SpoolListing:
    """Entries of a directory, and how many other files it holds."""

    entries: list[SpoolEntry] = field(default_factory=list)
    unknown: int = 0  # not written by a spool, not a regular file of its user, or too large: never touched


def listing(directory: Path) -> SpoolListing:
    """Return what a directory holds; nothing if it cannot be read."""
    found = SpoolListing()
    try:
        with os.scandir(directory) as files:
            for _, file in zip(range(_MOST_NAMES), _visible(files), strict=False):
                with contextlib.suppress(FileNotFoundError):  # delivered meanwhile
                    _add(found, _entry(file))
    except OSError:
        return found
    return found


def _add(found: SpoolListing, entry: SpoolEntry | None) -> None:
    if entry is None:
        found.unknown += 1
    else:
        found.entries.append(entry)
        _bound(found.entries)


def names(directory: Path) -> list[str]:
    """Return the names in a directory, the first 100,000. Raise OSError."""
    with os.scandir(directory) as files:
        return [file.name for _, file in zip(range(_MOST_NAMES), files, strict=False)]


def _visible(files: Iterator["os.DirEntry[str]"]) -> Iterator["os.DirEntry[str]"]:
    """Leave out half-written files and the spool's own ones."""
    return (each for each in files if not each.name.startswith(".") and each.name not in (PAUSE, REFUSED, REASON))


def _entry(file: "os.DirEntry[str]") -> SpoolEntry | None:
    entry = SpoolEntry.from_name(file.name)
    if entry is None:
        return None
    status = file.stat(follow_symlinks=False)
    is_ours = os.geteuid() in (0, status.st_uid) or status.st_uid == 0
    if not stat.S_ISREG(status.st_mode) or not is_ours or status.st_size > LARGEST:
        return None
    return entry.with_size(status.st_size)


def _bound(entries: list[SpoolEntry]) -> None:
    """Keep the oldest only."""
    if len(entries) >= 2 * _MOST_ENTRIES:
        entries.sort(key=lambda each: each.time)
        del entries[_MOST_ENTRIES:]


_LONG_WAIT = 60.0  # seconds from which the message says how long the oldest has waited


@dataclass(frozen=True)
class Tally:
    """Delivery counts of this process; `waiting` and `unknown` are of the directory as it is now."""

    sent: int = 0
    waiting: int = 0
    refused: int = 0  # moved to refused/
    dropped: int = 0  # too many, too large or too old
    unknown: int = 0  # files in the spool's directory that it did not write
    error: str = ""  # the last one that still matters, without secrets
    check_in: str = ""  # error of the last check-in
    oldest: float | None = None  # seconds for which the oldest has waited

    def __str__(self) -> str:
        """As in: 3 sent, 2 waiting (the oldest for 20 min), 1 refused; Sentry responds with 502 Bad Gateway."""
        age = f" (the oldest for {in_words(round(self.oldest))})" if self.oldest and self.oldest >= _LONG_WAIT else ""
        counts = [(self.sent, "sent"), (self.waiting, f"waiting{age}"), (self.refused, "refused")]
        words = [f"{count} {what}" for count, what in [*counts, (self.dropped, "dropped")] if count]
        unknown = f"{self.unknown} unknown file{'s' if self.unknown > 1 else ''} in the spool" if self.unknown else ""
        return "; ".join(filter(None, [", ".join(words) or "nothing to send", self.error, self.check_in, unknown]))
