"""The watchdog's heartbeat and kills in the state directory: one format, one writer, one reader.

kills.jsonl is bounded: at LARGEST_KILLS it becomes kills.jsonl.1, in place of the one before. The new one
begins with the number of all earlier kills, so that no counter goes back: {"earlier": [[RULE, REASON, NUMBER], …]}.
"""

import functools
import io
import json
import math
import pwd
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from servermonitoring.files import append_line, read_regular, write_whole
from servermonitoring.threads import bounded

HEARTBEAT = "watchdog.json"
KILLS, OLDER_KILLS = "kills.jsonl", "kills.jsonl.1"
LARGEST_KILLS = 10_000_000  # bytes of kills.jsonl: some 20,000 kills
MOST_READ = 2 * LARGEST_KILLS  # bytes of both files, from their end
_NAME_TIMEOUT = 1.0  # seconds
_LARGEST_HEARTBEAT = 10_000  # bytes
_LONGEST_LINE = 100_000  # bytes; the line of a kill has at most a few thousand


class Heartbeat(NamedTuple):
    """The last heartbeat of `watchdog watch`."""

    pid: int
    time: float  # of the last scan, unix seconds
    poll_interval: float  # seconds until the next scan is due at the latest
    started: float  # unix seconds
    suspended: str = ""  # why validations cannot be recorded, so that only memory limits apply
    browsers: int = 0  # that run
    heaviest: int = 0  # bytes of the browser that uses most, at most; exact near its limit
    heaviest_limit: int | None = None  # bytes that its rule allows


class Kill(NamedTuple):
    """One browser that was killed, and why; a line of kills.jsonl."""

    time: float  # unix seconds
    rule: str
    reason: str  # "memory", "never validated" or "silent"
    message: str  # the violation in words, with value and limit
    pid: int
    name: str
    user: int  # uid
    memory: int  # bytes, of the whole browser
    age: float  # seconds since its start
    validated: float | None  # seconds since its last validation
    command: str


def heartbeat(directory: Path) -> Heartbeat | None:
    """Return the last heartbeat; None if no watchdog was ever started here, or the file cannot be read.

    Never waits: what is no regular file, such as a pipe, cannot be read.
    """
    try:
        value = _object(read_regular(directory / HEARTBEAT, _LARGEST_HEARTBEAT)) or {}
        limit = value.get("heaviest_limit")
        return Heartbeat(
            pid=int(value["pid"]),
            time=float(value["time"]),
            poll_interval=float(value["poll_interval"]),
            started=float(value["started"]),
            suspended=str(value.get("suspended", "")),
            browsers=int(value.get("browsers", 0)),
            heaviest=int(value.get("heaviest", 0)),
            heaviest_limit=None if limit is None else int(limit),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def kills(directory: Path, since: float = 0.0, until: float = math.inf, most: int = MOST_READ) -> Iterator[Kill]:
    """Yield the kills between two times (unix seconds) in the newest `most` bytes of the files, oldest first.

    Invalid lines are ignored. A file that cannot be read has no kills; a pipe is not waited for.
    """
    newer = _end(directory / KILLS, most)
    older = _end(directory / OLDER_KILLS, most - len(newer)) if len(newer) < most else b""
    for content in (older, newer):
        for line in _lines(content):
            kill = _kill(_object(line))
            if kill is not None and since <= kill.time <= until:
                yield kill


def count_kills(directory: Path) -> Counter[tuple[str, str]]:
    """Return the number of all kills by rule and reason, also of those whose lines are no longer kept."""
    newer = _end(directory / KILLS, MOST_READ)
    earlier, count = _count(newer)
    if earlier is None:
        older = _end(directory / OLDER_KILLS, MOST_READ)
        earlier, count_before = _count(older)
        is_same = older.startswith(newer)  # renamed meanwhile
        count = count_before if is_same else count + count_before
    return count + (earlier or Counter())


def write_heartbeat(directory: Path, beat: Heartbeat) -> None:
    """Write the heartbeat. Raise OSError. It is not flushed to the disk, as the next one follows soon."""
    write_whole(directory / HEARTBEAT, json.dumps(beat._asdict()), durable=False)


def record_kill(directory: Path, kill: Kill) -> None:
    """Append a line; first rename a file that has become large, in place of the older one.

    Raise OSError, also where the path leads to anything but a regular file.
    """
    path = directory / KILLS
    try:
        if path.lstat().st_size >= LARGEST_KILLS:
            count = count_kills(directory)
            path.replace(directory / OLDER_KILLS)
            append_line(path, _earlier_as_text(count))
    except FileNotFoundError:
        pass
    append_line(path, json.dumps(kill._asdict()))


@functools.cache
def user_name(uid: int) -> str:
    """Return the name of a user, "user UID" where there is none.

    A directory service such as LDAP that does not respond within 1 s is not asked for this user again.
    """
    try:
        return bounded(lambda: pwd.getpwuid(uid).pw_name, _NAME_TIMEOUT)
    except (KeyError, OverflowError, TimeoutError):
        return f"user {uid}"


def _count(content: bytes) -> tuple[Counter[tuple[str, str]] | None, Counter[tuple[str, str]]]:
    """Return the number of kills before this file, None if it does not begin with it, and that of those in it."""
    earlier, count = None, Counter[tuple[str, str]]()
    for number, line in enumerate(_lines(content)):
        value = _object(line)
        if number == 0:
            earlier = _earlier(value or {})
        if kill := _kill(value):
            count[kill.rule, kill.reason] += 1
    return earlier, count


def _earlier_as_text(count: Counter[tuple[str, str]]) -> str:
    return json.dumps({"earlier": [[rule, reason, number] for (rule, reason), number in count.items()]})


def _earlier(value: dict[str, Any]) -> Counter[tuple[str, str]] | None:
    try:
        return Counter({(str(rule), str(reason)): int(number) for rule, reason, number in value["earlier"]})
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _lines(content: bytes) -> Iterator[bytes]:
    """Yield the lines that may be JSON, without a copy of all of them."""
    return (line for line in io.BytesIO(content) if 1 < len(line) <= _LONGEST_LINE)


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


def _kill(value: dict[str, Any] | None) -> Kill | None:
    try:
        return Kill(**{name: _typed(kind, (value or {})[name]) for name, kind in Kill.__annotations__.items()})
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _typed(kind: Any, value: Any) -> Any:
    if kind == float | None:
        return None if value is None else float(value)
    if not isinstance(value, str if kind is str else int | float):
        raise TypeError(f"{value!r} is not {kind}")
    return kind(value)
