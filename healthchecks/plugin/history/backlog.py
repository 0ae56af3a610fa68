"""Runs that could not be stored wait in the state directory, one file each, until the history can be written again."""

import contextlib
import errno
import json
import sqlite3
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from healthchecks.plugin.history.models import FinishedRun
from healthchecks.plugin.history.store import History
from healthchecks.plugin.result import Result, Status
from servermonitoring.files import private_directory, read_regular, remove_abandoned, write_whole

DIRECTORY = "unstored"
_MOST = 5000  # runs: a month at one every ten minutes; then the oldest are dropped
_FIELDS = ("check", "target", "label", "status", "message", "seconds", "host", "group", "maintenance")
_TEXTS = ("check", "target", "label", "message", "host", "group")
_LARGEST = 50_000_000  # bytes of one file that is read
_NOT_A_RUN = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_NO_FILE = (errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.ENXIO)  # but a device, a pipe, a huge one …
_UNREADABLE, _MOST_UNREADABLE = ".unreadable", 100  # files that are kept for a person to look at


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


def store_all(directory: Path, history: History) -> tuple[int, int]:
    """Store what waits, oldest first, each once; give back how many, and how many never can be.

    A file is removed when its run is stored; a process that is killed in between leaves it, and the history
    knows the run's name. A file that is not what `keep` wrote, or holds what no column takes, is renamed for a person
    to look at, so that it keeps no later one waiting. Raises sqlite3.Error, OSError.
    """
    stored = odd = 0
    remove_abandoned(directory / DIRECTORY)
    for path in sorted((directory / DIRECTORY).glob("*.json")):
        try:
            stored += history.add(_run(path))
        except OSError as error:
            if error.errno not in _NO_FILE:
                continue  # another time: such as when no more files can be opened
            odd += _put_aside(path)
        except (*_NOT_A_RUN, sqlite3.IntegrityError):
            odd += _put_aside(path)
        else:
            path.unlink(missing_ok=True)
    return stored, odd


def _put_aside(path: Path) -> int:
    """Rename one file, and give back that it was one."""
    with contextlib.suppress(OSError):
        path.rename(path.with_suffix(_UNREADABLE))
    for old in sorted(path.parent.glob(f"*{_UNREADABLE}"))[:-_MOST_UNREADABLE]:
        with contextlib.suppress(OSError):
            old.unlink()
    return 1


def _run(path: Path) -> FinishedRun:
    """Raises what a file raises that is not as `keep` wrote it."""
    document = json.loads(read_regular(path, _LARGEST))
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
    if not all(isinstance(document[name], str) for name in _TEXTS):
        raise TypeError("a result has a text that is none")
    return Result(**document, status=status, started=started)
