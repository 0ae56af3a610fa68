"""What the page is made from: one run, what the history says, and where things are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from healthchecks.plugin.history import Memory
from healthchecks.plugin.history.queries import interval_of
from healthchecks.plugin.result import Result

_SHORTEST_INTERVAL = 300.0  # seconds: quicker runs are somebody's, by hand
UNKNOWN_INTERVAL = 86400.0  # seconds: what is taken where too few runs are known


@dataclass(frozen=True)
class Unjudged:
    """A check that was to run, and was not judged, since the run was cut off."""

    check: str
    target: str
    label: str
    group: str

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target


def _nothing_is_gone(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Situation:
    """Everything that the page shows; times are in UTC."""

    results: Sequence[Result]
    memory: Memory
    started: datetime
    seconds: float
    host: str
    interrupted: bool = False
    unjudged: Sequence[Unjudged] = ()
    is_gone: Callable[[str], bool] = _nothing_is_gone
    """Whether the target so referred to (website.home) is not in the configuration any more."""
    interval: float | None = None
    """Seconds from one run to the next, as configured."""
    state_directory: Path | None = None
    page_directory: Path | None = None
    notices: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self.started.timestamp()

    @property
    def usual_interval(self) -> float | None:
        """Seconds from one whole run to the next: as configured, else as it was lately; None for too few runs."""
        lately = interval_of([each.time for each in self.memory.runs if not each.is_part])
        return self.interval or (max(lately, _SHORTEST_INTERVAL) if lately else None)

    @property
    def late_after(self) -> float:
        """Age in seconds from which the page is too old: two intervals."""
        return 2 * (self.usual_interval or UNKNOWN_INTERVAL)
