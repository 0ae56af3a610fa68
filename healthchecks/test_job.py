"""Background jobs: the newest result in the log of a job is a success, and recent enough."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from healthchecks import ConfigPath, Duration, Target, Unhealthy, metric, probe
from servermonitoring.files import read_regular
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words

_MAX_AHEAD = 300  # seconds that the clock of the job's machine may be ahead
_SHOWN = 300  # characters of a line
_TAIL = 262_144  # bytes
_TIME = re.compile(r"\W{0,3}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?\s?(?:Z|[+-]\d\d:?\d\d)?)")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


class Job(Target):
    local: ClassVar[bool] = True

    log: ConfigPath
    """File in which the job writes a line about each result."""
    ok: Pattern = r"(?i)\bok\b"
    """Regular expression of a line that means success."""
    fail: Pattern = r"(?i)\bfail(ed|ure)?\b"
    """Regular expression of a line that means failure."""
    max_age: Duration = Field(gt=0, le=366 * 86400)
    """Maximum age of the newest such line: a job that no longer runs writes no failure."""


@dataclass(frozen=True)
class JobResult:
    """A line of the log, scrubbed; `age` in seconds, by its own time or else that of the last write to the file."""

    line: str
    is_success: bool
    age: float
    size: int
    """Bytes of the whole log."""


@probe
def newest(job: Job) -> JobResult:
    """Return the last line that matches `ok` or `fail`; one that matches both is a failure. Raise Unhealthy."""
    text, written, size = _tail(job.log)
    for line in reversed(text.splitlines()):
        failed = re.search(job.fail, line) is not None
        if failed or re.search(job.ok, line):
            age = datetime.now(UTC) - (_time_of(line) or written)
            return JobResult(scrub_and_cut(line.strip(), _SHOWN), not failed, age.total_seconds(), size)
    raise Unhealthy(f"no line of {job.log} matches ok ({job.ok}) or fail ({job.fail})")


def test_job_status(job: Job, newest: JobResult) -> None:
    metric("age", newest.age, "seconds", limit=job.max_age)
    metric("size", newest.size, "bytes")
    assert newest.is_success, f"failure in {job.log}: {newest.line}"
    assert newest.age > -_MAX_AHEAD, f"newest line of {job.log} is {in_words(-newest.age)} in the future: {newest.line}"
    assert newest.age <= job.max_age, (
        f"newest line of {job.log} is {in_words(newest.age)} old, maximum {in_words(job.max_age)}"
    )


def _tail(path: Path) -> tuple[str, datetime, int]:
    """Return the end of the file, when it was last written, and its size in bytes."""
    try:
        text = read_regular(path, _TAIL, part="end").decode(errors="replace")
        status = path.stat()
    except OSError as error:
        raise Unhealthy(f"{path}: {error.strerror}") from None
    return text, datetime.fromtimestamp(status.st_mtime, UTC), status.st_size


def _time_of(line: str) -> datetime | None:
    """Return the time at the beginning of a line; local time where it has no time zone."""
    if not (found := _TIME.match(line)):
        return None
    try:
        return datetime.fromisoformat(
            found[1].strip().replace(",", ".").replace(" ", "T", 1).replace(" ", "")
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
