"""What goes into the history and what comes out of it."""

import enum
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from healthchecks.plugin.result import Result, Status


class Kind(enum.StrEnum):
    """What a result says of the service: changes of this are what people hear of."""

    WELL = "well"
    FAILING = "failing"
    BLOCKED = "blocked"


_KINDS = {
    Status.OK: Kind.WELL, Status.SLOW: Kind.WELL, Status.FAILED: Kind.FAILING, Status.ERROR: Kind.FAILING,
    Status.BLOCKED: Kind.BLOCKED,
}  # fmt: skip


def kind_of(status: Status) -> Kind | None:
    """None for a skipped check: it neither changes nor goes on with what was."""
    return _KINDS.get(status)


PART = "part-"  # what the name of a run begins with that checked a part only


def run_name(*, is_part: bool = False) -> str:
    """Return a name unlike that of any other run, so that it is stored once whatever happens."""
    return f"{PART if is_part else ''}{os.getpid()}-{secrets.token_hex(8)}"


@dataclass(frozen=True)
class FinishedRun:
    """One run, as it goes into the history."""

    results: Sequence[Result]
    started: datetime
    seconds: float
    interrupted: bool = False
    name: str = field(default_factory=run_name)


@dataclass(frozen=True)
class Course:
    """How long a check has been in its present state: since when, in how many runs in a row."""

    since: datetime
    runs: int
    kind: Kind


class Point(NamedTuple):
    """One result of the past."""

    time: int  # unix seconds, when its run began
    status: Status
    seconds: float  # what the probe took
    message: str
    maintenance: bool

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)


class Uptime(NamedTuple):
    """Of the runs that judged a check, those that found it well. Maintenance, blocked and skipped do not count."""

    well: int
    judged: int

    @property
    def share(self) -> float | None:
        """0 to 1; None where nothing was judged."""
        return self.well / self.judged if self.judged else None


class RunRecord(NamedTuple):
    """One run of the past."""

    time: int  # unix seconds
    seconds: float
    interrupted: bool
    is_part: bool = False  # of the checks, chosen by hand


class Change(NamedTuple):
    """A check became something else."""

    time: int  # unix seconds
    kind: Kind | None  # None: only the maintenance began or ended
    before: Kind | None  # None: it was never judged before
    maintenance: bool
    message: str
    lasted: int | None  # seconds until the next change; None: it is so now


@dataclass(frozen=True)
class Past:
    """What the page shows of one check."""

    check: str
    target: str
    label: str
    group: str
    reference: str  # as `needs` names it; empty for one that only version 0.1 stored
    recent: Sequence[Point]  # the last ones, oldest first
    uptimes: Mapping[int, Uptime]  # by days
    usual: tuple[float, float] | None  # seconds: where the middle eight tenths of the last days lie
    interval: float | None  # seconds between two results, usually
    changes: Sequence[Change]  # of the last days, oldest first
    course: Course | None

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target
