"""The end of a run, as the history sees it: the run is stored or kept for later, and the past is looked up."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from healthchecks.plugin.history import backlog, database, queries, repair
from healthchecks.plugin.history.models import Course, FinishedRun, Past, RunRecord
from healthchecks.plugin.history.store import History, UnstorableError, opened


@dataclass(frozen=True)
class Memory:
    """What the history said; empty where it could not be read."""

    pasts: Sequence[Past] = ()
    runs: Sequence[RunRecord] = ()
    courses: Mapping[tuple[str, str], Course] = field(default_factory=dict)
    notices: Sequence[str] = ()
    """What people may want to know."""
    troubles: Sequence[str] = ()
    """What went wrong."""


def remember(directory: Path, days: int, run: FinishedRun) -> Memory:
    """Store the run, then look back from it. What is wrong with the history is told and raises nothing."""
    try:
        return _store(directory, days, run)
    except (OSError, sqlite3.Error, ValueError) as error:
        troubles = [f"history {directory / database.NAME}: {error}", keep(directory, run)]
    return _read_only(directory, run, troubles)


def keep(directory: Path, run: FinishedRun) -> str:
    """Put a run that could not be stored where the next one finds it; say what came of it."""
    try:
        backlog.keep(directory, run)
    except OSError as error:
        return f"the results of this run are lost to the history: {error}"
    return "the results of this run are kept, and stored when that is possible again"


def _store(directory: Path, days: int, run: FinishedRun) -> Memory:
    """A damaged file is put aside; if what was saved of it is damaged, too, so is the new one."""
    renew = partial(repair.renew, directory / database.NAME, without=run.name)
    aside: list[str] = []
    for salvage in (True, False):
        try:
            return _into_opened(directory, days, run, aside)
        except (sqlite3.Error, ValueError) as error:
            if not database.is_damaged(error):
                raise
        aside.append(str(renew(salvage=salvage)))
    return _into_opened(directory, days, run, aside)


def _into_opened(directory: Path, days: int, run: FinishedRun, aside: Sequence[str]) -> Memory:
    with opened(directory, days) as history:
        memory = _into(history, directory, run)
    told = [f"the history was damaged: put aside as {' and '.join(aside)}, begun anew with what could be read of it"]
    return replace(memory, troubles=[*memory.troubles, *(told if aside else [])])


def _into(history: History, directory: Path, run: FinishedRun) -> Memory:
    late, odd = backlog.store_all(directory, history)
    troubles = (
        [f"{odd} of the runs that had to wait cannot be stored: see {directory / backlog.DIRECTORY}"] if odd else []
    )
    try:
        history.add(run)
    except UnstorableError as error:
        troubles.append(f"the results of this run cannot be stored: {error}")
    try:
        memory = _look_back(history.connection, run, history.courses(run.results))
    except (ValueError, TypeError, OverflowError, OSError) as error:  # of datetime.fromtimestamp
        raise database.Damaged(f"it holds what nobody stored: {error}") from error
    notices = [f"stored {late} earlier run{'s' if late > 1 else ''} that had to wait"] if late else []
    return replace(memory, notices=notices, troubles=troubles)


def _read_only(directory: Path, run: FinishedRun, troubles: Sequence[str]) -> Memory:
    """What was stored before can be shown all the same."""
    try:
        connection = database.connect_read_only(directory / database.NAME)
        try:
            return replace(_look_back(connection, run, {}), troubles=troubles)
        finally:
            connection.close()
    except (OSError, sqlite3.Error, ValueError, TypeError, OverflowError):
        return Memory(troubles=troubles)


def _look_back(connection: sqlite3.Connection, run: FinishedRun, courses: Mapping[tuple[str, str], Course]) -> Memory:
    now = int(run.started.timestamp()) + 60  # a run may have been given the next free second
    return Memory(queries.pasts(connection, now), queries.runs(connection, now), courses)
