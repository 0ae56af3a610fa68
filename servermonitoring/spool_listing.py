"""What is in a spool's directory: its deliveries, and what else there may be, at a bounded cost."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from servermonitoring.delivery import Delivery

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
