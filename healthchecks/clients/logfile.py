"""The newest line of a log that means success or failure, and its age."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from healthchecks import Unhealthy
from servermonitoring.files import read_regular

_TAIL = 262_144  # bytes
_TIME = re.compile(r"\W{0,3}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?\s?(?:Z|[+-]\d\d:?\d\d)?)")


@dataclass(frozen=True)
class Line:
    """`age` in seconds: by the time at its beginning, else by when the file was last written."""

    text: str
    ok: bool
    age: float


def newest(path: Path, ok: str, fail: str) -> Line:
    """The last line that matches one of two regular expressions; both is a failure. Raises Unhealthy."""
    text, written = _tail(path)
    for line in reversed(text.splitlines()):
        failed = re.search(fail, line) is not None
        if failed or re.search(ok, line):
            moment = _time_of(line) or written
            return Line(line.strip(), not failed, (datetime.now(UTC) - moment).total_seconds())
    raise Unhealthy(f"no line of {path} matches ok ({ok}) or fail ({fail})")


def _tail(path: Path) -> tuple[str, datetime]:
    try:
        text = read_regular(path, _TAIL, part="end").decode(errors="replace")
        written = path.stat().st_mtime
    except OSError as error:
        raise Unhealthy(f"{path}: {error.strerror}") from None
    return text, datetime.fromtimestamp(written, UTC)


def _time_of(line: str) -> datetime | None:
    """Without a time zone it is this machine's time."""
    if not (found := _TIME.match(line)):
        return None
    try:
        return datetime.fromisoformat(
            found[1].strip().replace(",", ".").replace(" ", "T", 1).replace(" ", "")
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
