"""The earlier values of a metric, for checks and their forecasts: from the history, in any process of a run."""

from pathlib import Path
from typing import ClassVar

from healthchecks.plugin.forecast import DAY
from servermonitoring import clock

_AHEAD = 60  # seconds: a run that begins in the same second as another one is given the next free second


class PastMetrics:
    """Where the history of this run is; the processes of probes and tests have it by fork."""

    directory: ClassVar[Path | None] = None

    @classmethod
    def forget(cls) -> None:
        cls.directory = None


def past_metric(check: str, target: str, name: str, *, days: float = 7) -> list[tuple[float, float]]:
    """Return time, in unix seconds, and value of a metric in earlier runs, the oldest first.

    `check` and `target` are those of status.json. This run is not in it yet. Each run has a point for two weeks,
    before them each hour, with its mean. Empty without a history, if it cannot be read, and outside of a run.
    """
    from healthchecks.plugin import history

    if PastMetrics.directory is None:
        return []
    now = clock.time()
    points = history.metric_points(PastMetrics.directory, check, target, name, int(now - days * DAY))
    return [(float(point.time), point.value) for point in points if point.time < now + _AHEAD]
