"""Background jobs: the newest line of a log, file or time is recent enough; the job has succeeded."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from healthchecks import ConfigPath, Duration, Size, Target, Unhealthy, metric, probe
from healthchecks.clients.file_search import absolute_pattern, find_newest
from servermonitoring import clock
from servermonitoring.configuration import relative_to_file
from servermonitoring.files import at_home, read_regular
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words, size_in_words

_MAX_AHEAD = 300  # seconds that the clock of the job's machine may be ahead
_SHOWN = 300  # characters of a line
_TAIL = 262_144  # bytes
_LONGEST_TIME = 1_000  # bytes of a file that may hold a time
_UNIX_TIME = re.compile(r"\d{9,10}(\.\d{1,9})?", re.ASCII)  # seconds, from 1973 to 2286
_TIME = re.compile(r"\W{0,3}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?\s?(?:Z|[+-]\d\d:?\d\d)?)")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


def _complete(text: str, info: ValidationInfo) -> str:
    expanded = str(at_home(text)) if text.startswith("~") else text
    return absolute_pattern(relative_to_file(info.context, ".").absolute(), expanded)


FilePattern = Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(_complete)]
"""A pattern of files, relative to the configuration file; ~ is the home directory."""

Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


class Job(Target):
    local: ClassVar[bool] = True

    log: ConfigPath | None = None
    """Log of the job: the newest line that matches `ok` or `fail` counts."""
    files: FilePattern | None = None
    """Pattern of files that the job writes, with `*`, `?` and `[]` as in a shell: the newest one counts."""
    timestamp: ConfigPath | None = None
    """File that the job writes when it succeeds: the time in it counts, or else that of its last write."""
    ok: Pattern = r"(?i)\bok\b"
    """Regular expression of a line of `log` that means success; default: the word "ok"."""
    fail: Pattern = r"(?i)\bfail(ed|ure)?\b"
    """Regular expression of a line of `log` that means failure; default: the words "fail", "failed", "failure"."""
    max_age: Duration = Field(gt=0, le=366 * 86400)
    """Maximum age of that line, file or time."""
    min_size: Size | None = Field(default=None, gt=0)
    """Minimum size of the newest of `files`."""
    max_size: Size | None = Field(default=None, gt=0)
    """Maximum size of the newest of `files`."""

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        given = [name for name in ("log", "files", "timestamp") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} exclude each other: " if given else ""
            raise ValueError(f"{found}write one of log, files and timestamp")
        for name, owner in _OWNERS.items():
            if name in self.model_fields_set and owner not in given:
                raise ValueError(f"{name} has no meaning without {owner}")
        if self.min_size and self.max_size and self.min_size > self.max_size:
            raise ValueError("min_size is more than max_size: no file can have such a size")
        return self


_OWNERS = {"ok": "log", "fail": "log", "min_size": "files", "max_size": "files"}


@dataclass(frozen=True)
class JobResult:
    """The newest line, file or time; `age` in seconds."""

    what: str
    """How it is called in messages: newest line of /var/log/job.log."""
    age: float
    size: int | None = None
    """Bytes of the file, or of the whole log."""
    failure: str = ""
    """What the log says, where it says that the job has failed."""
    quote: str = ""
    """The line or time itself, scrubbed."""


@probe
def newest(job: Job) -> JobResult:
    """Return the newest result. Raise Unhealthy where there is none."""
    if job.files:
        return _newest_file(job.files)
    if job.timestamp:
        return _newest_time(job.timestamp)
    return _newest_line(job)


def test_job_status(job: Job, newest: JobResult) -> None:
    metric("age", newest.age, "seconds", limit=job.max_age)
    if newest.size is not None:
        metric("size", newest.size, "bytes", limit=job.max_size, lower_limit=job.min_size)
    assert not newest.failure, newest.failure
    quote = f": {newest.quote}" if newest.quote else ""
    assert newest.age > -_MAX_AHEAD, f"{newest.what} is {in_words(-newest.age)} in the future{quote}"
    age, size = in_words(max(0.0, newest.age)), size_in_words(newest.size or 0)
    what = f"{newest.what}, {size}," if job.files else newest.what
    assert newest.age <= job.max_age, f"{what} is {age} old, maximum {in_words(job.max_age)}"
    found = f"{newest.what}, {age} old, has {size}"
    for limit, sign, word in ((job.min_size, 1, "minimum"), (job.max_size, -1, "maximum")):
        is_kept = limit is None or (newest.size or 0) * sign >= limit * sign
        assert is_kept, f"{found}, {word} {size_in_words(limit or 0)}"


def _newest_file(pattern: str) -> JobResult:
    found = find_newest(pattern)
    return JobResult(f"newest file {found.path}", clock.time() - found.modified, found.size)


def _newest_time(path: Path) -> JobResult:
    """Return the time in the file, as unix seconds or in ISO form; in place of any other content its last write."""
    try:
        text = read_regular(path, _LONGEST_TIME, part="start").decode(errors="replace").strip()
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise Unhealthy(f"{path}: {error.strerror}") from None
    moment = _unix_time(text) or _time_of(text)
    if moment is None:
        return JobResult(f"last write to {path}", _age(written))
    return JobResult(f"time in {path}", _age(moment), quote=scrub_and_cut(text, _SHOWN))


def _newest_line(job: Job) -> JobResult:
    """Return the last line that matches `ok` or `fail`; one that matches both is a failure."""
    path = job.log or Path()
    text, written, size = _tail(path)
    for line in reversed(text.splitlines()):
        failed = re.search(job.fail, line) is not None
        if failed or re.search(job.ok, line):
            shown = scrub_and_cut(line.strip(), _SHOWN)
            failure = f"failure in {path}: {shown}" if failed else ""
            return JobResult(f"newest line of {path}", _age(_time_of(line) or written), size, failure, shown)
    raise Unhealthy(f"no line of {path} matches ok ({job.ok}) or fail ({job.fail})")


def _age(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()


def _tail(path: Path) -> tuple[str, datetime, int]:
    """Return the end of the file, when it was last written, and its size in bytes."""
    try:
        text = read_regular(path, _TAIL, part="end").decode(errors="replace")
        status = path.stat()
    except OSError as error:
        raise Unhealthy(f"{path}: {error.strerror}") from None
    return text, datetime.fromtimestamp(status.st_mtime, UTC), status.st_size


def _unix_time(text: str) -> datetime | None:
    return datetime.fromtimestamp(float(text), UTC) if _UNIX_TIME.fullmatch(text) else None


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
