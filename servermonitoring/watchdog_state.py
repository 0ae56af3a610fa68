"""The watchdog's heartbeat and kills in the state directory: one format, one writer, one reader.

kills.jsonl is bounded: at LARGEST_KILLS it becomes kills.jsonl.1, in place of the one before.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from servermonitoring.files import append_line, read_regular, write_whole

HEARTBEAT = "watchdog.json"
KILLS, OLDER_KILLS = "kills.jsonl", "kills.jsonl.1"
LARGEST_KILLS = 10_000_000  # bytes of kills.jsonl: some 20,000 kills
MOST_READ = 2 * LARGEST_KILLS  # bytes of both, from their end
_LARGEST_HEARTBEAT = 10_000  # bytes
_LONGEST_LINE = 100_000  # bytes; a kill's own line is at most a few thousand


def raw_heartbeat(directory: Path) -> dict[str, Any] | None:
    """Return the last sign of life; None if no watchdog was ever started here, or the file cannot be read."""
    try:
        return _object(read_regular(directory / HEARTBEAT, _LARGEST_HEARTBEAT))
    except OSError:
        return None


def raw_kills(directory: Path, most: int = MOST_READ) -> Iterator[dict[str, Any]]:
    """Yield the objects in the newest `most` bytes of the kills, oldest first; lines that are rubbish are left out.

    A file that cannot be read holds none, and one that is no regular file is not waited for.
    """
    newer = _end(directory / KILLS, most)
    older = _end(directory / OLDER_KILLS, most - len(newer)) if len(newer) < most else b""
    for content in (older, newer):
        for line in content.split(b"\n"):
            kill = _object(line) if 0 < len(line) <= _LONGEST_LINE else None
            if kill is not None:
                yield kill


def _end(path: Path, most: int) -> bytes:
    try:
        return read_regular(path, most, part="end")
    except OSError:
        return b""


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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
    value = raw_heartbeat(directory)
    if value is None:
        return None
    try:
        pid, suspended = int(value["pid"]), str(value.get("suspended", ""))
        return Heartbeat(pid, float(value["time"]), float(value["poll_interval"]), float(value["started"]), suspended)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def kills(directory: Path, since: float) -> list[Kill]:
    """The kills at or after a time (unix seconds), oldest first; lines that are rubbish are passed over."""
    found = map(_kill, raw_kills(directory))
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
