"""Reads what the watchdog leaves in the state directory: its heartbeat and its kills. Text from outside, to be judged.

kills.jsonl is bounded: when it has grown to LARGEST_KILLS, it becomes kills.jsonl.1, in place of the one before.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from servermonitoring.files import read_regular

HEARTBEAT = "watchdog.json"
KILLS, OLDER_KILLS = "kills.jsonl", "kills.jsonl.1"
LARGEST_KILLS = 10_000_000  # bytes of kills.jsonl: some 20,000 kills
MOST_READ = 2 * LARGEST_KILLS  # bytes of both, from their end
_LARGEST_HEARTBEAT = 10_000  # bytes
_LONGEST_LINE = 100_000  # bytes; a kill's own line is at most a few thousand


def heartbeat(directory: Path) -> dict[str, Any] | None:
    """Return the last sign of life; None if no watchdog was ever started here, or the file cannot be read."""
    try:
        return _object(read_regular(directory / HEARTBEAT, _LARGEST_HEARTBEAT))
    except OSError:
        return None


def kills(directory: Path, most: int = MOST_READ) -> Iterator[dict[str, Any]]:
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
