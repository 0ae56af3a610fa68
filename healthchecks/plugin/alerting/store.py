"""The file of what was alerted, apart from the history, and its migration from an older history."""

import errno
import json
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthchecks.plugin.alerting.policy import LONGEST_KIND
from healthchecks.plugin.alerting.state import MOST_BYTES, AlertState, decoded, encoded, state_of
from healthchecks.plugin.history.database import NAME as HISTORY
from healthchecks.plugin.history.database import connect_unchanged
from servermonitoring.files import read_regular, write_whole
from servermonitoring.state_directory import changing

_COLUMNS = "name, target, topic, since, episode, failures, told, reminders, kinds, suppressed, event"
_FIELDS = ("since", "episode", "failures", "alerted_at", "reminders", "kinds", "suppressed", "event")
_MOST = 10_000  # rows of a table


def from_history(directory: Path) -> AlertState:
    """Return a new state with what an older history holds; an empty one if that cannot be read."""
    try:
        with closing(connect_unchanged(directory / HISTORY)) as database:
            if _has_tables(database):
                return state_of(_content(database))
    except Exception:  # noqa: BLE001, S110 - as for the file itself: whatever it is, it cannot be read
        pass
    return AlertState()


def _has_tables(database: sqlite3.Connection) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('alerts', 'alerts_sent', 'resolutions')"
    return bool(database.execute(query).fetchone()[0] == 3)  # noqa: PLR2004 - all of them


def _content(database: sqlite3.Connection) -> dict[str, Any]:
    incidents = database.execute(f"SELECT {_COLUMNS} FROM alerts LIMIT {_MOST}")  # noqa: S608 - our own names
    events = "SELECT time, name, target, topic FROM alerts_sent ORDER BY time DESC LIMIT ?"
    return {
        "id": AlertState().id,
        "saves": 0,
        "incidents": [_incident(row) for row in incidents],
        "events": database.execute(events, (_MOST,)).fetchall()[::-1],
        "resolutions": dict(database.execute("SELECT event, since FROM resolutions")),
    }


def _incident(row: tuple[Any, ...]) -> dict[str, Any]:
    incident = dict(zip(_FIELDS, row[3:], strict=True))
    alerted_at = incident["alerted_at"]
    return {
        "key": row[:3],
        "last_seen": incident["since"] if alerted_at is None else alerted_at,
        **incident,
        "kinds": [each[:LONGEST_KIND] for each in json.loads(incident["kinds"])],
    }


NAME, OLDER = "alerts.json", "alerts.old.json"
_NEXT = "alerts.new.json"  # until it is complete
_FULL = (errno.ENOSPC, errno.EDQUOT)
_ROOM = 32_768  # bytes of spaces at the end: what fails while the disk is full has to find a place
_BLOCK = 512  # bytes, of st_blocks


@dataclass(frozen=True)
class Reading:
    """The state and what is wrong with its files."""

    state: AlertState | None
    """None if it cannot be read."""
    error: str = ""
    """What is wrong; empty if nothing is."""
    is_whole: bool = True
    """Whether the newer file exists and is intact."""


class StateFile:
    """alerts.json in the state directory, and the copy before it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._newer, self._older, self._next = (directory / name for name in (NAME, OLDER, _NEXT))

    def read(self) -> Reading:
        """Return the newest state that can be read. Raise nothing: whatever is wrong is the reading's error."""
        (newer, why), (older, why_older) = _read(self._newer), _read(self._older)
        if newer:
            is_later = older and older.id == newer.id and older.saves > newer.saves
            return Reading(older if is_later else newer)
        if older:  # a run that is killed while it writes leaves this one only
            copy = f"{why}; the copy before it is used" if why else ""
            return Reading(older, copy, is_whole=False)
        if why or why_older:
            return Reading(None, why or why_older, is_whole=False)
        return Reading(from_history(self._directory), is_whole=False)

    def begin(self) -> Reading:
        """Read the file, create it first if there is none: a killed run that is repeated must find the same names."""
        reading = self.read()
        if reading.is_whole or reading.error:
            return reading
        try:
            self.change(lambda _state: None)
        except OSError:
            return reading
        return self.read()

    def change(self, change: Callable[[AlertState], None]) -> None:
        """Change the state in the file, completely or not at all. Raise OSError."""
        with changing(self._directory):
            reading = self.read()
            state = reading.state or AlertState()
            change(state)
            state.saves += 1
            for path in (self._newer, self._older, self._next):
                _move_aside(path)
            content = encoded(state).encode()
            self._write(content.ljust(len(content) + _ROOM), is_whole=reading.is_whole)

    def _write(self, content: bytes, *, is_whole: bool) -> None:
        try:
            write_whole(self._next, content)
        except OSError as error:
            if is_whole and error.errno in _FULL and _overwrite(self._older, content.rstrip()):
                return
            raise
        if is_whole:
            self._newer.replace(self._older)
        self._next.replace(self._newer)
        if not self._older.exists():
            write_whole(self._older, content)


def _overwrite(path: Path, content: bytes) -> bool:
    """Write into the blocks that this file has on the disk; return False if they are too few. Raise OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        status = os.fstat(descriptor)
        room = min(status.st_size, status.st_blocks * _BLOCK)
        if not stat.S_ISREG(status.st_mode) or len(content) > room:
            return False
        file.write(content.ljust(status.st_size))
        file.flush()
        os.fsync(descriptor)
    return True


def _move_aside(path: Path) -> None:
    """Rename a directory: unlike all else, it cannot be replaced by a file."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"alerts-damaged-{time.time_ns()}"))


def _read(path: Path) -> tuple[AlertState | None, str]:
    """Return the state, or what is wrong; neither if there is no such file."""
    try:
        return decoded(read_regular(path, MOST_BYTES)), ""
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{path.name}: {error.strerror}"
    except Exception as error:  # noqa: BLE001 - whatever it is, the file is not as it was written
        return None, f"{path.name} is damaged: {error}"
