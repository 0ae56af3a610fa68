"""The file of what was alerted, apart from the history, and what an older history knew of it."""

import contextlib
import errno
import fcntl
import json
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthchecks.plugin.alerting.policy import LONGEST_KIND
from healthchecks.plugin.alerting.state import MOST_BYTES, AlertState, decoded, encoded, state_of
from healthchecks.plugin.history.database import NAME as HISTORY
from healthchecks.plugin.history.database import connect_unchanged
from servermonitoring.files import read_regular, write_whole

_COLUMNS = "name, target, topic, since, episode, failures, told, reminders, kinds, suppressed, event"
_FIELDS = ("since", "episode", "failures", "told", "reminders", "kinds", "suppressed", "event")
_MOST = 10_000  # rows of a table


def from_history(directory: Path) -> AlertState:
    """A new state with what the history knows: nothing, where it cannot be read, of which the history tells itself."""
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
    memories = database.execute(f"SELECT {_COLUMNS} FROM alerts LIMIT {_MOST}")  # noqa: S608 - our own names
    sent = "SELECT time, name, target, topic FROM alerts_sent ORDER BY time DESC LIMIT ?"
    return {
        "id": AlertState().id,
        "saves": 0,
        "memories": [_memory(row) for row in memories],
        "sent": database.execute(sent, (_MOST,)).fetchall()[::-1],
        "resolutions": dict(database.execute("SELECT event, since FROM resolutions")),
    }


def _memory(row: tuple[Any, ...]) -> dict[str, Any]:
    memory = dict(zip(_FIELDS, row[3:], strict=True))
    seen = memory["since"] if memory["told"] is None else memory["told"]
    return {
        "key": row[:3],
        "seen": seen,
        **memory,
        "kinds": [each[:LONGEST_KIND] for each in json.loads(memory["kinds"])],
    }


NAME, OLDER = "alerts.json", "alerts.old.json"
_COMING = "alerts.new.json"  # the next one, until it is whole
_FULL = (errno.ENOSPC, errno.EDQUOT)
_WAIT = 2.0  # seconds for another run that is writing: one of reports may be alive beside one of checks
_LOOK_AGAIN = 0.02  # seconds
_ROOM = 32_768  # bytes of spaces at the end: what fails while the disk is full has to find a place
_BLOCK = 512  # bytes, of st_blocks


@dataclass(frozen=True)
class Reading:
    """What was found."""

    state: AlertState | None
    """None if it cannot be read, so that nothing is known."""
    error: str = ""
    """What is wrong, in words."""
    is_whole: bool = True
    """Whether the newer file is there and in order."""


class StateFile:
    """In the state directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._newer, self._older, self._coming = (directory / name for name in (NAME, OLDER, _COMING))

    def read(self) -> Reading:
        """Raise nothing: whatever is wrong with a file means that it cannot be read."""
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
        """Read it, made where there is none: a run that is killed and repeated must find the same names in it."""
        reading = self.read()
        if reading.is_whole or reading.error:
            return reading
        try:
            self.change(lambda _state: None)
        except OSError:
            return reading
        return self.read()

    def change(self, change: Callable[[AlertState], None]) -> None:
        """Change what is there now, whole or not at all. Raise OSError."""
        with self._locked():
            reading = self.read()
            state = reading.state or AlertState()
            change(state)
            state.saves += 1
            for path in (self._newer, self._older, self._coming):
                _move_directory(path)
            content = encoded(state).encode()
            self._write(content.ljust(len(content) + _ROOM), is_whole=reading.is_whole)

    def _write(self, content: bytes, *, is_whole: bool) -> None:
        try:
            write_whole(self._coming, content)
        except OSError as error:
            if is_whole and error.errno in _FULL and _overwrite(self._older, content.rstrip()):
                return
            raise
        if is_whole:
            self._newer.replace(self._older)
        self._coming.replace(self._newer)
        if not self._older.exists():
            write_whole(self._older, content)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Raise TimeoutError if another run holds the lock for too long."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            end = time.monotonic() + _WAIT
            while not _has_lock(descriptor):
                if time.monotonic() > end:
                    raise TimeoutError(f"another run has been writing for {_WAIT:g} s")
                time.sleep(_LOOK_AGAIN)
            yield
        finally:
            os.close(descriptor)


def _overwrite(path: Path, content: bytes) -> bool:
    """Write where this file has its place on the disk already; False if that is too small. Raise OSError."""
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


def _move_directory(path: Path) -> None:
    """Out of the way: unlike all else, it cannot be replaced by a file."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"alerts-damaged-{time.time_ns()}"))


def _has_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> tuple[AlertState | None, str]:
    """What is in it; None and no word if there is no such file."""
    try:
        return decoded(read_regular(path, MOST_BYTES)), ""
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"{path.name}: {error.strerror}"
    except Exception as error:  # noqa: BLE001 - whatever it is, the file is not as it was written
        return None, f"{path.name} is damaged: {error}"
