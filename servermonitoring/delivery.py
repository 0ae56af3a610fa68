"""One thing that waits to be delivered, and the order in which such things go."""

import hashlib
import os
import re
import time
from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

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
