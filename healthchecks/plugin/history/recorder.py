"""Stores a finished run, or puts it into the backlog, and queries the runs before it."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from healthchecks.plugin.history import backlog, database, queries
from healthchecks.plugin.history.models import CheckHistory, FinishedRun, RunRecord, Streak
from healthchecks.plugin.history.store import History, UnstorableError, opened


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
        backlog.add(directory, run)
    except OSError as error:
        return f"the results of this run will be missing from the history: {error}"
    return f"the results of this run wait in {directory / backlog.DIRECTORY}, to be stored by a later run"


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
    late, refused = backlog.store_all(directory, history)
    errors = []
    if refused:
        errors.append(f"{refused} of the runs that had to wait cannot be stored: see {directory / backlog.DIRECTORY}")
    try:
        history.add(run)
    except UnstorableError as error:
        errors.append(f"the results of this run cannot be stored: {error}")
    try:
        data = _query(history.connection, run, history.streaks(run.results))
    except (ValueError, TypeError, OverflowError, OSError) as error:  # of datetime.fromtimestamp
        raise database.DamagedError(f"it has values that no run stored: {error}") from error
    notices = [f"stored {late} earlier run{'s' if late > 1 else ''} that had to wait"] if late else []
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
