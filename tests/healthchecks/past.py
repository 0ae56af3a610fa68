"""A history of a metric, made before the first run."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from healthchecks.plugin.history import FinishedRun, opened
from healthchecks.plugin.metric import Metric
from healthchecks.plugin.result import Result, Status


def store_metric(state: Path, check: str, target: str, name: str, value: Callable[[float], float]) -> None:
    """Store a run for each hour of the last 8 days; `value` has the day, 0 is now and -1 yesterday."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC)
    with opened(state, 400) as history:
        for hour in range(-8 * 24, 0):
            moment, metrics = now + timedelta(hours=hour), (Metric(name, value(hour / 24)),)
            label = f"{check}[{target}]"
            result = Result(check, target, label, Status.OK, "", 0.1, moment, "here", metrics=metrics)
            history.add(FinishedRun([result], moment, 1.0))
