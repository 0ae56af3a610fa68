"""The kills of the watchdog, as its `kills.jsonl` in the state directory tells them: text from outside."""

import json
from pathlib import Path
from typing import NamedTuple

from servermonitoring.files import read_regular

NAME = "kills.jsonl"
_MOST_READ = 1_000_000  # bytes, from the end: some two thousand kills
_LONGEST = 300  # characters of a text


class Kill(NamedTuple):
    time: float  # unix seconds
    rule: str
    message: str
    name: str


def kills(directory: Path, since: float, until: float) -> list[Kill]:
    """Those between two moments (unix seconds), oldest first; what cannot be read is none."""
    try:
        lines = read_regular(directory / NAME, _MOST_READ, part="end").splitlines()
    except OSError:
        return []
    found = (_kill(line) for line in lines)
    return sorted(each for each in found if each and since <= each.time <= until)


def _kill(line: bytes) -> Kill | None:
    try:
        value = json.loads(line)
        time = float(value["time"])
        texts = [str(value.get(key, ""))[:_LONGEST] for key in ("rule", "message", "name")]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return Kill(time, *texts)
