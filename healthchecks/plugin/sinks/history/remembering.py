"""The end of a run, as the history sees it: the run is stored or kept for later, and the past is looked up."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from healthchecks.plugin.sinks.history import database, looking_back, spool
from healthchecks.plugin.sinks.history.records import Course, FinishedRun, Past, RunRecord
from healthchecks.plugin.sinks.history.store import History, opened


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
    except (OSError, sqlite3.Error) as error:
        troubles = [f"history {directory / database.NAME}: {error}", keep(directory, run)]
    return _read_only(directory, run, troubles)


def keep(directory: Path, run: FinishedRun) -> str:
    """Put a run that could not be stored where the next one finds it; say what came of it."""
    try:
        spool.keep(directory, run)
    except OSError as error:
        return f"the results of this run are lost to the history: {error}"
    return "the results of this run are kept, and stored when that is possible again"


def _store(directory: Path, days: int, run: FinishedRun) -> Memory:
    try:
        with opened(directory, days) as history:
            return _into(history, directory, run)
    except sqlite3.DatabaseError as error:  # damage in the middle is found when it is read or written
        if not database.is_damaged(error):
            raise
    aside = database.put_aside(directory / database.NAME)
    with opened(directory, days) as history:
        return _into(history, directory, run, aside)


def _into(history: History, directory: Path, run: FinishedRun, aside: Path | None = None) -> Memory:
    aside = aside or history.put_aside
    late = spool.store_all(directory, history)
    history.add(run)
    return replace(
        _look_back(history.connection, run, history.courses(run.results)),
        notices=[f"stored {late} earlier run{'s' if late > 1 else ''} that had to wait"] if late else [],
        troubles=[f"the history was damaged: put aside as {aside}, begun anew"] if aside else [],
    )


def _read_only(directory: Path, run: FinishedRun, troubles: Sequence[str]) -> Memory:
    """What was stored before can be shown all the same."""
    try:
        connection = database.connect_read_only(directory / database.NAME)
        try:
            return replace(_look_back(connection, run, {}), troubles=troubles)
        finally:
            connection.close()
    except (OSError, sqlite3.Error):
        return Memory(troubles=troubles)


def _look_back(connection: sqlite3.Connection, run: FinishedRun, courses: Mapping[tuple[str, str], Course]) -> Memory:
    now = int(run.started.timestamp()) + 60  # a run may have been given the next free second
    return Memory(looking_back.pasts(connection, now), looking_back.runs(connection, now), courses)
