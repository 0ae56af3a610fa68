"""Charts of the main metric of a check over a day, a week and 90 days, and its forecast."""

from collections.abc import Sequence

from healthchecks.plugin.dashboard.line_chart import LineChart, draw_chart, make_columns
from healthchecks.plugin.forecast import forecast_columns
from healthchecks.plugin.history.metrics import DAY, MetricHistory
from servermonitoring.values import metric_in_words

_PERIODS = (("24 h", 1, 48), ("7 d", 7, 84), ("90 d", 90, 90))
"""Name, days, columns: of half an hour, 2 h and a day."""


def draw_metric(metric: MetricHistory, now: float, *, only_week: bool = False) -> Sequence[LineChart]:
    """Return the charts, the shortest period first; a longer period without more points is left out."""
    limits = [each for each in (metric.limit, metric.lower_limit) if each is not None]
    oldest = metric.columns.times[0] if metric.columns.times else now
    found: list[LineChart] = []
    before = 0.0
    for name, days, count in _PERIODS[1:2] if only_week else _PERIODS:
        if not found or oldest < now - before:
            columns = make_columns(*metric.columns, end=now, period=days * DAY, count=count)
            chart = draw_chart(metric.name, name, columns, metric.unit, width=count, limits=limits)
            found += [chart] if chart else []
        before = days * DAY
    return found


def forecast_in_words(metric: MetricHistory, now: float) -> str:
    """Return "reaches 90 % in 12 d"; empty if no limit will be reached soon."""
    times, values = metric.columns.times, metric.columns.values
    for limit, from_above in ((metric.limit, False), (metric.lower_limit, True)):
        if limit is not None and (found := forecast_columns(times, values, limit, from_above=from_above)):
            return found.in_words(metric_in_words(limit, metric.unit), now)
    return ""
