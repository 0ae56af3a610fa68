"""Background jobs: the newest result in a job's log is a success, and recent enough."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from healthchecks import Duration, Target, probe
from healthchecks.clients import logfile
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words

_MAX_AHEAD = 300  # seconds that the clock of the job's machine may be ahead
_SHOWN = 300  # characters of a line


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


class Job(Target):
    local: ClassVar[bool] = True

    log: Path
    """File in which the job writes a line about each result."""
    ok: Pattern = r"(?i)\bok\b"
    """Regular expression of a line that says that the job succeeded."""
    fail: Pattern = r"(?i)\bfail(ed|ure)?\b"
    """Regular expression of a line that says that the job failed."""
    max_age: Duration = Field(gt=0, le=366 * 86400)
    """Largest age of the newest such line: a job that no longer runs writes no failure."""


@probe
def newest(job: Job) -> logfile.Line:
    line = logfile.newest(job.log, job.ok, job.fail)
    return replace(line, text=scrub_and_cut(line.text, _SHOWN))


def test_job_status(job: Job, newest: logfile.Line) -> None:
    assert newest.ok, f"failure in {job.log}: {newest.text}"
    assert newest.age > -_MAX_AHEAD, f"newest line of {job.log} is {in_words(-newest.age)} in the future: {newest.text}"
    assert newest.age <= job.max_age, (
        f"newest line of {job.log} is {in_words(newest.age)} old, maximum {in_words(job.max_age)}"
    )
