"""Stores a finished run, or puts it into the backlog, and queries the runs before it.

The backlog holds runs that could not be stored, one file each, until the history can be written again.
"""

import contextlib
import errno
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from healthchecks.plugin.history import database, queries
from healthchecks.plugin.history.archive import DamagedError
from healthchecks.plugin.history.store import (
    CheckHistory,
    FinishedRun,
    History,
    RunRecord,
    Streak,
    UnstorableError,
    opened,
)
from healthchecks.plugin.metric import make_metric, merged
from healthchecks.plugin.result import Result, Status
from servermonitoring.files import private_directory, read_regular, remove_abandoned, write_whole
from servermonitoring.values import counted

BACKLOG = "unstored"  # the directory of the backlog


@dataclass(frozen=True)
class HistoryData:
    """What was read from the history; empty if it could not be read."""

    checks: Sequence[CheckHistory] = ()
    runs: Sequence[RunRecord] = ()
    streaks: Mapping[tuple[str, str], Streak] = field(default_factory=dict)
    notices: Sequence[str] = ()
    """What people may want to know."""
    errors: Sequence[str] = ()
    """What went wrong."""


def record(directory: Path, days: int, run: FinishedRun) -> HistoryData:
    """Store the run, then query what was before it. An error of the history is in `errors`; none is raised."""
    try:
        return _store(directory, days, run)
    except (OSError, sqlite3.Error, ValueError) as error:
        errors = [f"history {directory / database.NAME}: {error}", postpone(directory, run)]
    return _read_only(directory, run, errors)


def postpone(directory: Path, run: FinishedRun) -> str:
    """Put a run that could not be stored into the backlog; return a sentence that says so."""
    try:
        _add_to_backlog(directory, run)
    except OSError as error:
        return f"the results of this run will be missing from the history: {error}"
    return f"the results of this run wait in {directory / BACKLOG}, to be stored by a later run"


def _store(directory: Path, days: int, run: FinishedRun) -> HistoryData:
    """Store the run. A damaged file is renamed and replaced, twice if what was salvaged is damaged, too."""
    renew = partial(database.renew, directory / database.NAME, without=run.name)
    renamed: list[str] = []
    for salvage in (True, False):
        try:
            return _into_opened(directory, days, run, renamed)
        except (sqlite3.Error, ValueError) as error:
            if not database.is_damaged(error):
                raise
        renamed.append(str(renew(salvage=salvage)))
    return _into_opened(directory, days, run, renamed)


def _into_opened(directory: Path, days: int, run: FinishedRun, renamed: Sequence[str]) -> HistoryData:
    with opened(directory, days) as history:
        data = _into(history, directory, run)
    if not renamed:
        return data
    error = f"the history was damaged: renamed to {' and '.join(renamed)}; a new one has what could be read of it"
    return replace(data, errors=[*data.errors, error])


def _into(history: History, directory: Path, run: FinishedRun) -> HistoryData:
    late, refused = _store_backlog(directory, history)
    errors = []
    if refused:
        errors.append(f"{refused} of the runs that had to wait cannot be stored: see {directory / BACKLOG}")
    try:
        history.add(run)
    except UnstorableError as error:
        errors.append(f"the results of this run cannot be stored: {error}")
    try:
        data = _query(history.connection, run, history.streaks(run.results))
    except (ValueError, TypeError, OverflowError, OSError) as error:  # of datetime.fromtimestamp
        raise DamagedError(f"it has values that no run stored: {error}") from error
    notices = [f"stored {counted(late, 'earlier run')} that had to wait"] if late else []
    return replace(data, notices=notices, errors=errors)


def _read_only(directory: Path, run: FinishedRun, errors: Sequence[str]) -> HistoryData:
    """Query what was stored before, which can be shown all the same."""
    try:
        connection = database.connect_read_only(directory / database.NAME)
        try:
            return replace(_query(connection, run, {}), errors=errors)
        finally:
            connection.close()
    except (OSError, sqlite3.Error, ValueError, TypeError, OverflowError):
        return HistoryData(errors=errors)


def _query(connection: sqlite3.Connection, run: FinishedRun, streaks: Mapping[tuple[str, str], Streak]) -> HistoryData:
    now = int(run.started.timestamp()) + 60  # a run may have been given the next free second
    return HistoryData(queries.checks(connection, now), queries.runs(connection, now), streaks)


_MOST = 5000  # runs: a month at one every ten minutes; then the oldest are dropped
_FIELDS = ("check", "target", "label", "status", "message", "duration", "host", "group", "maintenance")
_TEXTS = ("check", "target", "label", "message", "host", "group")
_LARGEST = 50_000_000  # bytes of one file that is read
_NOT_A_RUN = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_NO_FILE = (errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.ENXIO)  # but a device, a pipe, a huge one …
_UNREADABLE, _MOST_UNREADABLE = ".unreadable", 100  # files that are left for a person to read


def _add_to_backlog(directory: Path, run: FinishedRun) -> None:
    """Write a run into the backlog, and drop the oldest beyond the limit. Raise OSError."""
    folder = private_directory(directory / BACKLOG)
    remove_abandoned(folder)
    document = {
        "started": run.started.isoformat(), "duration": run.duration, "interrupted": run.interrupted, "name": run.name,
        "results": [_document(each) for each in run.results],
    }  # fmt: skip
    write_whole(folder / f"{time.time_ns():020}-{run.name}.json", json.dumps(document))
    for old in sorted(folder.glob("*.json"))[:-_MOST]:
        old.unlink(missing_ok=True)


def _store_backlog(directory: Path, history: History) -> tuple[int, int]:
    """Store the backlog, oldest first, each run once; return how many were stored, and how many never can be.

    A file is removed when its run is stored; a process that is killed in between leaves it, and the history
    knows the run's name. A file that is not what `_add_to_backlog` wrote, or has values that no column takes, is
    renamed for a person to read, so that it delays no later one. Raise sqlite3.Error, OSError.
    """
    stored = refused = 0
    remove_abandoned(directory / BACKLOG)
    for path in sorted((directory / BACKLOG).glob("*.json")):
        try:
            stored += history.add(_run(path))
        except OSError as error:
            if error.errno not in _NO_FILE:
                continue  # a later run tries again: such as when no more files can be opened
            refused += _rename(path)
        except (*_NOT_A_RUN, sqlite3.IntegrityError):
            refused += _rename(path)
        else:
            path.unlink(missing_ok=True)
    return stored, refused


def _rename(path: Path) -> int:
    """Rename one file for a person to read; return 1."""
    with contextlib.suppress(OSError):
        path.rename(path.with_suffix(_UNREADABLE))
    for old in sorted(path.parent.glob(f"*{_UNREADABLE}"))[:-_MOST_UNREADABLE]:
        with contextlib.suppress(OSError):
            old.unlink()
    return 1


def _run(path: Path) -> FinishedRun:
    """Return the run in a file. Raise whatever a file raises that is not as `_add_to_backlog` wrote it."""
    document = json.loads(read_regular(path, _LARGEST))
    return FinishedRun(
        results=[_result(each) for each in document["results"]],
        started=datetime.fromisoformat(document["started"]),
        duration=float(document["duration"]),
        interrupted=bool(document["interrupted"]),
        name=str(document["name"]),
    )


def _document(result: Result) -> dict[str, Any]:
    document = {name: getattr(result, name) for name in _FIELDS}
    reference = str(result.extras.get("reference", ""))
    metrics = [asdict(each) for each in result.metrics]
    return document | {"started": result.started.isoformat(), "extras": {"reference": reference}, "metrics": metrics}


def _result(document: dict[str, Any]) -> Result:
    status, started = Status(document.pop("status")), datetime.fromisoformat(document.pop("started"))
    if not all(isinstance(document[name], str) for name in _TEXTS):
        raise TypeError("a text of a result is no text")
    metrics = merged(make_metric(**each) for each in document.pop("metrics", ()))  # none of an older release
    return Result(**document, status=status, started=started, metrics=metrics)
