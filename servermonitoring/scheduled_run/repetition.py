"""Which faults of the scheduled command were alerted: at first, after 1 hour, after 6, then daily, as checks are."""

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from servermonitoring.files import write_whole

_HOUR, _DAY = 3600, 86400  # seconds
_MEMORY = Path("/dev/shm")  # noqa: S108 - where all disks are full this may still take a few bytes
_LARGEST = 10_000  # bytes
_MOST = 20  # faults of one failure


class Repetition:
    """Of one command. Kept in the state directory, or in memory where that cannot be written; else not at all."""

    def __init__(self, command: str, directory: Path) -> None:
        name = f"scheduled-{hashlib.sha256(command.encode(errors='replace')).hexdigest()[:12]}.json"
        self._places = (directory / name, _MEMORY / f"servermonitoring-{os.geteuid()}-{name}")

    def age(self, fault: str, now: float) -> float | None:
        """Return the seconds since the last alert; None if one is due."""
        kept = self._kept(now)
        if fault not in kept["faults"] or _stage(now - kept["since"]) > _stage(kept["sent"] - kept["since"]):
            return None
        return float(now - kept["sent"])

    def remember(self, fault: str, now: float) -> None:
        """Keep that it is alerted now."""
        kept = self._kept(now)
        faults = [*(each for each in kept["faults"] if each != fault), fault][-_MOST:]
        text = json.dumps({"since": kept["since"], "sent": now, "faults": faults})
        for path in self._places:
            with contextlib.suppress(OSError):
                if path.parent == _MEMORY or path.parent.stat().st_uid == os.geteuid():
                    write_whole(path, text, durable=False)
                    return

    def forget(self) -> None:
        """The command works again: whatever comes next is new."""
        for path in self._places:
            with contextlib.suppress(OSError):
                path.unlink()

    def _kept(self, now: float) -> dict[str, Any]:
        found = [each for path in self._places for each in _read(path) if each["since"] <= each["sent"] <= now]
        return max(found, key=lambda each: float(each["sent"]), default={"since": now, "sent": now, "faults": []})


def _stage(age: float) -> int:
    """How many alerts a fault of this age has had."""
    return 0 if age < _HOUR else 1 if age < 6 * _HOUR else 2 + int(age // _DAY)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """What this user wrote, and nobody else could have."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022:
                kept = json.loads(file.read(_LARGEST))
                yield {
                    "since": float(kept["since"]), "sent": float(kept["sent"]), "faults": [*map(str, kept["faults"])],
                }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
