"""Record of the alerts that the scheduled command has sent, so that a fault that stays is not alerted by each run."""

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
_MEMORY = Path("/dev/shm")  # noqa: S108 - where all disks are full there may still be room here
_LARGEST = 10_000  # bytes
_MOST = 20  # faults of one failure


class SentAlerts:
    """Alerts already sent for one command, kept in the state directory or, if it cannot be written, in memory."""

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
        """Record that the fault is alerted now."""
        kept = self._kept(now)
        faults = [*(each for each in kept["faults"] if each != fault), fault][-_MOST:]
        text = json.dumps({"since": kept["since"], "sent": now, "faults": faults})
        for path in self._places:
            with contextlib.suppress(OSError):
                if path.parent == _MEMORY or path.parent.stat().st_uid == os.geteuid():
                    write_whole(path, text, durable=False)
                    return

    def forget(self, now: float) -> float | None:
        """Remove the record, since the command works again; return when the fault began, None if none was sent."""
        kept = self._kept(now)
        for path in self._places:
            with contextlib.suppress(OSError):
                path.unlink()
        return float(kept["since"]) if kept["faults"] else None

    def _kept(self, now: float) -> dict[str, Any]:
        found = [each for path in self._places for each in _read(path) if each["since"] <= each["sent"] <= now]
        return max(found, key=lambda each: float(each["sent"]), default={"since": now, "sent": now, "faults": []})


def _stage(age: float) -> int:
    """Return how many alerts a fault of this age (seconds) has had."""
    return 0 if age < _HOUR else 1 if age < 6 * _HOUR else 2 + int(age // _DAY)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the record of a file that only this user can write."""
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
