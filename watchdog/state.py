"""What the watchdog leaves in the state directory for others to read: its heartbeat and its kills."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from servermonitoring import watchdog_files
from servermonitoring.files import append_line, write_whole
from servermonitoring.watchdog_files import HEARTBEAT, KILLS, LARGEST_KILLS, OLDER_KILLS


class Heartbeat(NamedTuple):
    """The last sign of life of `watchdog watch`."""

    pid: int
    time: float  # of the last look, unix seconds
    poll_interval: float  # seconds until the next look is due at the latest
    started: float  # unix seconds
    suspended: str = ""  # why validations cannot be recorded, and are not missed now


class Kill(NamedTuple):
    """One browser that was killed, and why; a line of kills.jsonl."""

    time: float  # unix seconds
    rule: str
    reason: str  # "memory", "never validated" or "silent"
    message: str  # the reason in words, with its figures
    pid: int
    name: str
    user: int  # uid
    memory: int  # bytes, of the whole family
    age: float  # seconds since its start
    validated: float | None  # seconds since it was last validated
    command: str


def heartbeat(directory: Path) -> Heartbeat | None:
    """The last sign of life; None if no watchdog was ever started here, or the file cannot be read."""
    value = watchdog_files.heartbeat(directory)
    if value is None:
        return None
    try:
        pid, suspended = int(value["pid"]), str(value.get("suspended", ""))
        return Heartbeat(pid, float(value["time"]), float(value["poll_interval"]), float(value["started"]), suspended)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def kills(directory: Path, since: float) -> list[Kill]:
    """The kills at or after a time (unix seconds), oldest first; lines that are rubbish are passed over."""
    found = map(_kill, watchdog_files.kills(directory))
    return [kill for kill in found if kill is not None and kill.time >= since]


def write_heartbeat(directory: Path, beat: Heartbeat) -> None:
    """Raises OSError. Not flushed to the disk: it is written again in a moment."""
    write_whole(directory / HEARTBEAT, json.dumps(beat._asdict()), durable=False)


def record_kill(directory: Path, kill: Kill) -> None:
    """Add a line; a file that has grown large is put aside first, in place of the one put aside before.

    Raises OSError, also where the path leads to anything but a regular file.
    """
    path = directory / KILLS
    try:
        if path.lstat().st_size >= LARGEST_KILLS:
            path.replace(directory / OLDER_KILLS)
    except FileNotFoundError:
        pass
    append_line(path, json.dumps(kill._asdict()))


def _kill(value: dict[str, Any]) -> Kill | None:
    try:
        return Kill(**{name: _typed(kind, value[name]) for name, kind in Kill.__annotations__.items()})
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _typed(kind: Any, value: Any) -> Any:
    if kind == float | None:
        return None if value is None else float(value)
    if not isinstance(value, str if kind is str else int | float):
        raise TypeError(f"{value!r} is not {kind}")
    return kind(value)
