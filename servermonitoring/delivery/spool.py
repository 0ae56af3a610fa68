"""Directory of alerts to deliver: each is a file in it until the receiver has confirmed it.

Storage only (outbox.py delivers): writing never waits for the network and never raises. The name of a file holds when
it was written, the key of those that it must follow, and how many attempts failed while others were delivered.
`refused/` keeps what no receiver will take, with the reason in the name.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from servermonitoring import clock
from servermonitoring.files import private_directory, read_regular, remove_abandoned, write_whole
from servermonitoring.scrubbing import scrub
from servermonitoring.values import counted, in_words, size_in_words

LARGEST = 20_000_000  # bytes of an entry; Sentry takes no more
MOST_FILES = 2000
MOST_BYTES = 100_000_000
OLDEST = 30 * 86400.0  # seconds; Sentry takes nothing older
_MOST_REFUSED = 200  # files
_MOST_IN_MEMORY = 100  # entries that could not be written
_MOST_NAMES = 100_000  # names of a directory that are read
_MOST_ENTRIES = 4000  # twice as many as a spool writes
_PAUSE, REFUSED = "pause.json", "refused"
REASON = "refused.txt"  # the reason of the last refusal
DELIVERED = "delivered.json"  # recipients that have an alert already which others still wait for
_OWN = {_PAUSE, REFUSED, REASON, DELIVERED}
_NAME = re.compile(r"(\d{1,20})-(\w{1,64})-\w{1,64}\.(\d{1,4})", re.ASCII)
_SUSPECT = 3  # failed attempts while others were delivered: from then on delivered last
_LONG_WAIT = 60.0  # seconds from which the message says how long the oldest has waited


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
        unknown = f"{counted(self.unknown, 'unknown file')} in the spool" if self.unknown else ""
        return "; ".join(filter(None, [", ".join(words) or "nothing to send", self.error, self.check_in, unknown]))


class Spool:
    """Alerts that wait for delivery. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._changing = threading.Lock()
        self._tally = Tally()
        self._in_memory: list[SpoolEntry] = []
        self._lost: set[str] = set()  # names of those that were too many even for memory
        self._unwritable = ""  # the reason
        self._files = self._bytes = -1  # about how many there are; -1: not counted yet

    def put(self, content: bytes, key: str = "") -> SpoolEntry | None:
        """Store an alert until it is delivered. Those of one key are delivered in the order in which they were put.

        Return its entry, with the content if it could not be written and is in memory only; None if it is too large.
        """
        if len(content) > LARGEST:
            self.note(f"alert dropped: {size_in_words(len(content))}, maximum {size_in_words(LARGEST)}", dropped=1)
            return None
        new = SpoolEntry.new(key)
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

    def has_left_memory(self, entry: SpoolEntry) -> bool:
        """Return whether an entry that could not be written was delivered, or written, since."""
        with self._changing:
            return entry.name not in self._lost | {each.name for each in self._in_memory}

    def tally(self) -> Tally:
        """Return the counts of this process and what waits now."""
        there = listing(self.directory)
        with self._changing:
            waiting = [*self._in_memory, *there.entries]
        lost = self._tally.refused or self._tally.dropped
        error = "; ".join(filter(None, [self._tally.error if waiting or lost else "", self._unwritable]))
        oldest = max(0.0, clock.time() - min(each.time for each in waiting) / 1e9) if waiting else None
        return replace(self._tally, waiting=len(waiting), oldest=oldest, error=error, unknown=there.unknown)

    def waiting(self) -> list[SpoolEntry]:
        """Return all entries in the order of their delivery."""
        with self._changing:
            return sorted([*self._in_memory, *listing(self.directory).entries])

    def note(self, error: str = "", *, sent: int = 0, refused: int = 0, dropped: int = 0) -> None:
        """Add to the counts, and keep the error if there is one."""
        with self._changing:
            now = self._tally
            self._tally = replace(
                now,
                sent=now.sent + sent,
                refused=now.refused + refused,
                dropped=now.dropped + dropped,
                error=scrub(error) or now.error,
            )

    def read(self, entry: SpoolEntry) -> bytes:
        """Return the content of an entry. Raise OSError."""
        if entry.content is not None:
            return entry.content
        return read_regular(self.directory / entry.name, LARGEST)

    def remove(self, entry: SpoolEntry) -> None:
        """Remove an entry. Raise OSError."""
        if entry.content is None:
            (self.directory / entry.name).unlink(missing_ok=True)
            return
        with self._changing:
            self._in_memory = [each for each in self._in_memory if each.name != entry.name]

    def refuse(self, entry: SpoolEntry, suffix: str, reason: str = "") -> None:
        """Move an entry to refused/ under a name with this suffix; the check of the alerts shows the reason.

        Raise OSError.
        """
        refused = private_directory(self.directory / REFUSED, root_may_share=True)
        target = refused / f"{entry.identity}.{suffix}"
        if entry.content is None:
            (self.directory / entry.name).rename(target)
            os.utime(target, follow_symlinks=False)  # the time of the refusal
        else:
            write_whole(target, entry.content)
            self.remove(entry)
        self.note(refused=1)
        write_whole(self.directory / REASON, scrub(reason or suffix), durable=False)
        for name in sorted(names(refused))[:-_MOST_REFUSED]:
            with contextlib.suppress(OSError):
                (refused / name).unlink()

    def count_attempt(self, entry: SpoolEntry) -> None:
        """Count one more failed attempt in the file name. Raise OSError."""
        if entry.content is None:
            counted = f"{entry.identity}.{entry.attempts + 1}"
            (self.directory / entry.name).rename(self.directory / counted)

    def write_back(self) -> None:
        """Write to the disk what is in memory only, if that works again."""
        for each in [each for each in self._in_memory if each.content is not None]:
            with contextlib.suppress(OSError):
                write_whole(private_directory(self.directory, root_may_share=True) / each.name, each.content or b"")
                self.remove(each)

    def clean(self) -> None:
        """Drop entries that are too old, and remove half-written files of killed writers."""
        now = clock.time()
        for each in listing(self.directory).entries:
            if now - each.time / 1e9 > OLDEST:
                self._drop(each, f"older than {in_words(OLDEST)}")
        remove_abandoned(self.directory)
        remove_abandoned(self.directory / REFUSED)

    def pause(self) -> float:
        """Return for how many seconds to send nothing, as the receiver has asked any process."""
        try:
            until = float(json.loads(read_regular(self.directory / _PAUSE, 1000))["until"])
        except (OSError, ValueError, TypeError, KeyError, OverflowError):
            return 0.0
        rest = until - clock.time()
        return max(0.0, rest) if rest < OLDEST else 0.0  # else the clock was set

    def remember_pause(self, seconds: float) -> None:
        """Store for how many seconds to send nothing."""
        with contextlib.suppress(OSError):
            text = json.dumps({"until": clock.time() + seconds})
            write_whole(self.directory / _PAUSE, text, durable=False)

    def _make_room(self, size: int) -> None:
        """Count the files only when the limits may be reached: listing thousands for each entry takes long."""
        if self._files < 0 or self._files >= MOST_FILES or self._bytes + size > MOST_BYTES:
            self._drop_the_oldest(size)
        self._files += 1
        self._bytes += size

    def _drop_the_oldest(self, size: int) -> None:
        there = sorted(listing(self.directory).entries, key=_age)
        count, total = len(there), sum(each.size for each in there)
        for each in there:
            if count < MOST_FILES and total + size <= MOST_BYTES:
                break
            self._drop(each, f"more than {MOST_FILES} files or {MOST_BYTES // 10**6} MB")
            count, total = count - 1, total - each.size
        self._files, self._bytes = count, total

    def _drop(self, entry: SpoolEntry, reason: str) -> None:
        try:
            self.remove(entry)
            self.note(f"alert dropped from the spool: {reason}", dropped=1)
        except OSError as error:
            self.note(f"the spool {self.directory} cannot be cleaned: {error.strerror}")

    def _keep_in_memory(self, entry: SpoolEntry) -> None:
        with self._changing:
            self._in_memory.append(entry)
            lost, self._in_memory = self._in_memory[:-_MOST_IN_MEMORY], self._in_memory[-_MOST_IN_MEMORY:]
            self._lost |= {each.name for each in lost}
        if lost:
            self.note(dropped=len(lost))


def _age(entry: SpoolEntry) -> int:
    return entry.time


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
    return (each for each in files if not each.name.startswith(".") and each.name not in _OWN)


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
