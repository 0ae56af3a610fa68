"""What is stored in the history, and what is read from it."""

import enum
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from healthchecks.plugin.result import Result, Status


class Kind(enum.StrEnum):
    """What a result means for the service: a change of it is shown and alerted."""

    WELL = "well"
    FAILING = "failing"
    BLOCKED = "blocked"


_KINDS = {
    Status.OK: Kind.WELL, Status.SLOW: Kind.WELL, Status.FAILED: Kind.FAILING, Status.ERROR: Kind.FAILING,
    Status.BLOCKED: Kind.BLOCKED,
}  # fmt: skip


def kind_of(status: Status) -> Kind | None:
    """Return the kind; None for a skipped check, which changes nothing and continues nothing."""
    return _KINDS.get(status)


PART = "part-"  # prefix of the name of a run that ran a part of the checks only


def run_name(*, is_part: bool = False) -> str:
    """Return a unique name, by which a run is stored once whatever happens."""
    return f"{PART if is_part else ''}{os.getpid()}-{secrets.token_hex(8)}"


@dataclass(frozen=True)
class FinishedRun:
    """One run, as it is stored."""

    results: Sequence[Result]
    started: datetime
    seconds: float
    interrupted: bool = False
    name: str = field(default_factory=run_name)


@dataclass(frozen=True)
class Streak:
    """How long a check has been in its present state: since when, in how many runs in a row."""

    since: datetime
    runs: int
    kind: Kind


class Point(NamedTuple):
    """One earlier result."""

    time: int  # unix seconds, when its run began
    status: Status
    seconds: float  # what the probe took
    message: str
    maintenance: bool

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)


class Uptime(NamedTuple):
    """How many runs had a result of a check, and in how many it passed. Maintenance, blocked, skipped do not count."""

    passed: int
    total: int

    @property
    def share(self) -> float | None:
        """0 to 1; None if there was no result."""
        return self.passed / self.total if self.total else None


class RunRecord(NamedTuple):
    """One earlier run."""

    time: int  # unix seconds
    seconds: float
    interrupted: bool
    is_part: bool = False  # it ran a part of the checks


class Change(NamedTuple):
    """A change of a check's kind, or of its maintenance."""

    time: int  # unix seconds
    kind: Kind | None  # None: only the maintenance began or ended
    before: Kind | None  # None: it had no result before
    maintenance: bool
    message: str
    lasted: int | None  # seconds until the next change; None: it lasts


@dataclass(frozen=True)
class CheckHistory:
    """What the page shows of one check."""

    check: str
    target: str
    label: str
    group: str
    reference: str  # as in `needs`; empty for a check that only version 0.1 stored
    recent: Sequence[Point]  # the last ones, oldest first
    uptimes: Mapping[int, Uptime]  # by days
    usual: tuple[float, float] | None  # seconds: the range of the middle eight tenths of the last days
    interval: float | None  # seconds between two results, usually
    changes: Sequence[Change]  # of the last days, oldest first
    streak: Streak | None

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target
