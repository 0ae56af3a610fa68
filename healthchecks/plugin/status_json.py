"""status.json beside the page: the state of every check of the run, for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healthchecks.plugin.dashboard.publish import publish
from healthchecks.plugin.history import Course
from healthchecks.plugin.result import Result, Status
from servermonitoring.values import iso

NAME = "status.json"


Entries = Sequence[Mapping[str, Any]]


def write(  # noqa: PLR0913 - the keys of the document
    directory: Path, host: str, checks: Entries, others: Entries, *, interrupted: bool, without_result: int
) -> None:
    """Write it beside and rename. Raises OSError.

    `others`: the last known state of checks that were not in this run, each as `entries` has them, with when it
    was `checked_at`; a failure among them counts as one. `without_result`: how many checks an interrupted run left out.
    """
    document = {
        "generated": iso(datetime.now(UTC)),
        "host": host,
        "status": "failed" if any(Status(each["status"]).is_failure for each in (*checks, *others)) else "ok",
        "interrupted": interrupted,
        "without_result": without_result,
        "checks": checks,
        "others": others,
    }
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    publish(directory / NAME, text)


def entries(results: Iterable[Result], courses: Mapping[tuple[str, str], Course]) -> Entries:
    """The checks of a run."""
    return [_entry(each, courses.get(each.key)) for each in results]


def _entry(result: Result, course: Course | None) -> dict[str, Any]:
    return {
        "check": result.check,
        "target": result.target,
        "group": result.group,
        "status": str(result.status),
        "since": iso(course.since if course else result.started),
        "seconds": result.seconds,
        "message": result.message,
        "maintenance": result.maintenance,
    }
