"""The kills of the watchdog, as its `kills.jsonl` in the state directory tells them: text from outside."""

from pathlib import Path
from typing import Any, NamedTuple

from servermonitoring import watchdog_state

_MOST_READ = 1_000_000  # bytes, from the end: some two thousand kills
_LONGEST = 300  # characters of a text


class Kill(NamedTuple):
    time: float  # unix seconds
    rule: str
    message: str
    name: str


def kills(directory: Path, since: float, until: float) -> list[Kill]:
    """Those between two moments (unix seconds), oldest first; what cannot be read is none."""
    found = map(_kill, watchdog_state.raw_kills(directory, _MOST_READ))
    return sorted(each for each in found if each and since <= each.time <= until)


def _kill(value: dict[str, Any]) -> Kill | None:
    try:
        time = float(value["time"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
    return Kill(time, *(str(value.get(key, ""))[:_LONGEST] for key in ("rule", "message", "name")))
