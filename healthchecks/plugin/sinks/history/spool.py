"""Runs that could not be stored wait in the state directory, one file each, until the history can be written again."""

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.sinks.history.records import FinishedRun
from healthchecks.plugin.sinks.history.store import History
from servermonitoring.files import private_directory, remove_abandoned, write_whole

DIRECTORY = "unstored"
_MOST = 5000  # runs: a month at one every ten minutes; then the oldest are dropped
_FIELDS = ("check", "target", "label", "status", "message", "seconds", "host", "group", "maintenance")
_LARGEST = 50_000_000  # bytes of one file that is read


def keep(directory: Path, run: FinishedRun) -> None:
    """Raises OSError where this cannot be kept either."""
    folder = private_directory(directory / DIRECTORY)
    remove_abandoned(folder)
    document = {
        "started": run.started.isoformat(), "seconds": run.seconds, "interrupted": run.interrupted, "name": run.name,
        "results": [_document(each) for each in run.results],
    }  # fmt: skip
    write_whole(folder / f"{time.time_ns():020}-{run.name}.json", json.dumps(document))
    for old in sorted(folder.glob("*.json"))[:-_MOST]:
        old.unlink(missing_ok=True)


def store_all(directory: Path, history: History) -> int:
    """Store what waits, oldest first, each once; give back how many. Raises sqlite3.Error, OSError.

    A file is removed when its run is stored; a process that is killed in between leaves it, and the history
    knows the run's name. A file that is not what `keep` wrote is renamed, for a person to look at.
    """
    stored = 0
    for path, run in _waiting(directory):
        stored += history.add(run)
        path.unlink(missing_ok=True)
    return stored


def _waiting(directory: Path) -> Iterator[tuple[Path, FinishedRun]]:
    for path in sorted((directory / DIRECTORY).glob("*.json")):
        try:
            yield path, _run(path)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".unreadable"))


def _run(path: Path) -> FinishedRun:
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is not a run")
    document = json.loads(path.read_bytes())
    return FinishedRun(
        results=[_result(each) for each in document["results"]],
        started=datetime.fromisoformat(document["started"]),
        seconds=float(document["seconds"]),
        interrupted=bool(document["interrupted"]),
        name=str(document["name"]),
    )


def _document(result: Result) -> dict[str, Any]:
    document = {name: getattr(result, name) for name in _FIELDS}
    reference = str(result.extras.get("reference", ""))
    return document | {"started": result.started.isoformat(), "extras": {"reference": reference}}


def _result(document: dict[str, Any]) -> Result:
    status, started = Status(document.pop("status")), datetime.fromisoformat(document.pop("started"))
    return Result(**document, status=status, started=started)
