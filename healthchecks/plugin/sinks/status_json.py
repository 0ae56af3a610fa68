"""status.json beside the page: the state of every check of the run, for programs."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healthchecks.plugin.result import Result
from healthchecks.plugin.sinks.history import Course
from healthchecks.plugin.sinks.sharing import publish

NAME = "status.json"


def write(
    directory: Path,
    results: Iterable[Result],
    courses: Mapping[tuple[str, str], Course],
    host: str,
    *,
    interrupted: bool,
) -> None:
    """Write it beside and rename. Raises OSError."""
    results = list(results)
    document = {
        "generated": _iso(datetime.now(UTC)),
        "host": host,
        "status": "failed" if any(each.status.is_failure for each in results) else "ok",
        "interrupted": interrupted,
        "checks": [_entry(each, courses.get(each.key)) for each in results],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    publish(directory / NAME, text)


def _entry(result: Result, course: Course | None) -> dict[str, Any]:
    return {
        "check": result.check,
        "target": result.target,
        "group": result.group,
        "status": str(result.status),
        "since": _iso(course.since if course else result.started),
        "seconds": result.seconds,
        "message": result.message,
        "maintenance": result.maintenance,
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
