"""The snapshot of a run that the page is made from: its results, the history, and paths."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from healthchecks.plugin.history import HistoryData
from healthchecks.plugin.history.queries import interval_of
from healthchecks.plugin.result import Result

_MIN_INTERVAL = 300.0  # seconds: more frequent runs are made by hand
UNKNOWN_INTERVAL = 86400.0  # seconds: assumed where too few runs are known


@dataclass(frozen=True)
class PendingCheck:
    """A check without a result because the run was cut off."""

    check: str
    target: str
    label: str
    group: str

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target


def _keep_all(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Snapshot:
    """All data of the page; times are in UTC."""

    results: Sequence[Result]
    history: HistoryData
    started: datetime
    duration: float
    """Seconds."""
    host: str
    interrupted: bool = False
    pending: Sequence[PendingCheck] = ()
    is_gone: Callable[[str], bool] = _keep_all
    """Whether the target with this reference (website.home) is no longer configured."""
    interval: float | None = None
    """Seconds from one run to the next, if configured."""
    state_directory: Path | None = None
    page_directory: Path | None = None
    notices: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """The start of the run in unix seconds."""
        return self.started.timestamp()

    @property
    def usual_interval(self) -> float | None:
        """Seconds from one complete run to the next: as configured, or the usual one; None for too few runs."""
        usual = interval_of([each.time for each in self.history.runs if not each.is_part])
        return self.interval or (max(usual, _MIN_INTERVAL) if usual else None)

    @property
    def late_after(self) -> float:
        """Seconds after which the page is too old: two intervals."""
        return 2 * (self.usual_interval or UNKNOWN_INTERVAL)
