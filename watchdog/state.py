"""What the watchdog leaves in the state directory for others to read: its heartbeat and its kills."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from servermonitoring.files import append_line, read_regular, write_whole

HEARTBEAT = "watchdog.json"
KILLS = "kills.jsonl"
_LARGEST_HEARTBEAT = 10_000  # bytes
_LONGEST_LINE = 100_000  # bytes; a kill's own line is at most a few thousand
_MOST_READ = 20_000_000  # bytes of kills.jsonl, from its end: 40,000 kills


@dataclass(frozen=True)
class Heartbeat:
    """The last sign of life of `watchdog watch`."""

    pid: int
    time: float  # of the last look, unix seconds
    poll_interval: float  # seconds until the next look is due at the latest
    started: float  # unix seconds
    suspended: str = ""  # why validations cannot be recorded, and are not missed now


@dataclass(frozen=True)
class Kill:
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
    try:
        value = json.loads(read_regular(directory / HEARTBEAT, _LARGEST_HEARTBEAT))
        pid, suspended = int(value["pid"]), str(value.get("suspended", ""))
        return Heartbeat(pid, float(value["time"]), float(value["poll_interval"]), float(value["started"]), suspended)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def kills(directory: Path, since: float) -> list[Kill]:
    """The kills at or after a time (unix seconds), oldest first; lines that are rubbish are passed over."""
    try:
        lines = read_regular(directory / KILLS, _MOST_READ, part="end").split(b"\n")
    except OSError:
        return []
    found = [kill for line in lines if line.strip() and (kill := _kill(line)) is not None]
    return [kill for kill in found if kill.time >= since]


def write_heartbeat(directory: Path, beat: Heartbeat) -> None:
    """Raises OSError. Not flushed to the disk: a disk that hangs must not hold up the watchdog."""
    write_whole(directory / HEARTBEAT, json.dumps(asdict(beat)), durable=False)


def record_kill(directory: Path, kill: Kill) -> None:
    """Raises OSError."""
    append_line(directory / KILLS, json.dumps(asdict(kill)))


def _kill(line: bytes) -> Kill | None:
    try:
        if len(line) > _LONGEST_LINE:
            return None
        value = json.loads(line)
        return Kill(**{field.name: _typed(field.type, value[field.name]) for field in fields(Kill)})
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _typed(kind: Any, value: Any) -> Any:
    if kind == float | None:
        return None if value is None else float(value)
    if not isinstance(value, str if kind is str else int | float):
        raise TypeError(f"{value!r} is not {kind}")
    return kind(value)
