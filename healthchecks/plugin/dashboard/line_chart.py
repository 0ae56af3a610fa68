"""Line charts: a number over time with its extremes, limits and scale; those of a metric, and its forecast."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import sub, truediv
from typing import NamedTuple

from markupsafe import Markup

from healthchecks.plugin.forecast import forecast_columns
from healthchecks.plugin.history.metrics import DAY, MetricColumns, MetricHistory
from servermonitoring.values import metric_in_words

HEIGHT = 60
_FAR = 5  # times the largest value: a limit beyond it would make a flat line of the values
_FLAT = 0.7  # of the largest value: where the least one is above it, the scale does not begin at zero
_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)  # at which a scale ends
_HUGE, _TINY = 1e300, 1e-300
_HIDDEN = 3  # of HEIGHT: a bar of the extremes that is not higher hardly shows behind the line
_GAP = 3  # usual distances between points, after which the line is interrupted
_PERIODS = (("24 h", 1, 48), ("7 d", 7, 84), ("90 d", 90, 90))
"""Name, days, columns: of half an hour, 2 h and a day."""


class ChartColumns(NamedTuple):
    """What happened at some places of the chart: the least, mean and largest values."""

    places: Sequence[int]
    leasts: Sequence[float]
    means: Sequence[float]
    mosts: Sequence[float]


class LineChart(NamedTuple):
    """A chart to show: `drawing` has the size `width` by HEIGHT."""

    title: str
    drawing: Markup
    width: int
    top: str
    """The largest value of the scale, in words."""
    bottom: str
    start: str
    """The begin of the time axis, in words; its end is now."""
    words: str
    """All of it for screen readers."""


class _Scale(NamedTuple):
    bottom: float
    top: float

    def heights(self, values: Iterable[float]) -> list[int]:
        """Return the places of values, from the top; the scale has all of them, but for huge ones."""
        bottom, factor = self.bottom, (HEIGHT - 2) / (self.top - self.bottom)
        if max(abs(bottom), abs(self.top)) >= _HUGE / 2:
            values = map(_clamp, values)
        return [round(HEIGHT - 1 - (value - bottom) * factor) for value in values]


def make_columns(points: MetricColumns, end: float, period: float, count: int) -> ChartColumns:
    """Return the points of a period before `end`, in seconds, in so many columns of a chart."""
    places, parts = _divide(points.times, end, period, count)
    several = [*map(points.values.__getitem__, parts)]
    return ChartColumns(
        places,
        [*map(min, map(points.leasts.__getitem__, parts))],
        [*map(truediv, map(sum, several), map(len, several))],
        [*map(max, map(points.mosts.__getitem__, parts))],
    )


@lru_cache(maxsize=16)  # most checks of a page have results of the same times
def _divide(times: tuple[float, ...], end: float, period: float, count: int) -> tuple[list[int], list[slice]]:
    """Return the places of the columns that have times, and for each which times."""
    edges = [bisect_left(times, end - period * (1 - place / count)) for place in range(count)]
    edges.append(bisect_left(times, end + 1))
    found = [(place, slice(*each)) for place, each in enumerate(pairwise(edges)) if each[1] > each[0]]
    return [place for place, _ in found], [part for _, part in found]


def draw_chart(  # noqa: PLR0913 - what a chart consists of
    name: str,
    start: str,
    columns: ChartColumns,
    unit: str,
    *,
    width: int,
    limits: Iterable[float] = (),
    usual: tuple[float, float] | None = None,
) -> LineChart | None:
    """Return the chart of the columns; None for fewer than two. `start`: the begin of the time axis, "7 d"."""
    if len(columns.places) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    least, most = min(columns.leasts), max(columns.mosts)
    found = list(limits)
    near = [each for each in found if abs(each) <= _FAR * max(abs(least), abs(most))]
    scale = _choose_scale([least, most, *near, *(usual or ())], has_limit=bool(near))
    parts = [
        _draw_usual(usual, scale, width) if usual else "",
        _draw_extremes(columns, scale),
        "".join(f'<path class="limit" d="M0 {height}h{width}"/>' for height in scale.heights(near)),
        f'<path class="value" vector-effect="non-scaling-stroke" d="{_draw_line(columns, scale)}"/>',
    ]
    far = "".join(f", limit {metric_in_words(each, unit)} is off the scale" for each in found if each not in near)
    return LineChart(
        name,
        Markup("".join(parts)),  # noqa: S704 - numbers of our own
        width,
        metric_in_words(scale.top, unit),
        metric_in_words(scale.bottom, unit),
        start,
        _describe(name, start, least, most, columns.means[-1], near, unit) + far,
    )


def _describe(  # noqa: PLR0913, PLR0917 - all that the chart shows
    name: str, start: str, least: float, most: float, last: float, limits: Iterable[float], unit: str
) -> str:
    low, high, now = (metric_in_words(each, unit) for each in (least, most, last))
    words = "".join(f", limit {metric_in_words(each, unit)}" for each in limits)
    return f"{name}, {start}: {low} to {high}, last {now}{words}"


def _choose_scale(values: Sequence[float], *, has_limit: bool) -> _Scale:
    """Return a scale with all values: from zero if that or a limit is near, else a part of it."""
    low, high = _clamp(min(values)), _clamp(max(values))
    if low >= 0 and (has_limit or low <= _FLAT * high):
        return _Scale(0.0, _round_up(high))
    room = max(high - low, abs(high) if high == low else 0) / 10
    room = room if room > _TINY else 1.0
    return _Scale(low - room, high + room)


def _round_up(value: float) -> float:
    """Return the next larger round number."""
    if value < _TINY:
        return 1.0
    unit: float = 10.0 ** math.floor(math.log10(value))
    return next((step * unit for step in _STEPS if step * unit >= value), 10 * unit)


def _clamp(value: float) -> float:
    return max(-_HUGE, min(_HUGE, value))


def _draw_usual(usual: tuple[float, float], scale: _Scale, width: int) -> str:
    low, high = scale.heights(usual)
    return f'<path class="usual" d="M0 {high}H{width}V{max(low, high + 1)}H0Z"/>'


def _draw_extremes(columns: ChartColumns, scale: _Scale) -> str:
    """Return a bar for each column in which the values differ by more than the line hides."""
    hidden = (_HIDDEN - 1) * (scale.top - scale.bottom) / HEIGHT  # less is not higher after rounding
    several = [each for each in zip(*columns, strict=True) if each[3] - each[1] > hidden]
    highs, lows = scale.heights([each[3] for each in several]), scale.heights([each[1] for each in several])
    drawn: list[str] = []
    x = y = 0
    for (place, *_), high, low in zip(several, highs, lows, strict=True):
        if low - high > _HIDDEN:
            drawn.append(f"m{place - x} {high - y}v{low - high}")
            x, y = place, low
    return f'<path class="extremes" d="{"".join(drawn).replace(" -", "-")}"/>' if drawn else ""


def _draw_line(columns: ChartColumns, scale: _Scale) -> str:
    """Return a path in relative steps, which are short, with a gap where there are no points."""
    distances = sorted(map(sub, columns.places[1:], columns.places))
    gap = _GAP * distances[len(distances) // 2]
    parts: list[str] = []
    before, height, level = -_HUGE, 0, 0  # level: the columns so far at the same height
    for place, there in zip(columns.places, scale.heights(columns.means), strict=True):
        if place - before > gap:
            parts.append(f"{f'h{level}' if parts else ''}M{place} {there}")
            level = 0
        elif there == height:
            level += place - int(before)
        else:
            parts.append(f"{f'h{level}' if level else ''}l{place - int(before)} {there - height}")
            level = 0
        before, height = place, there
    return "".join([*parts, f"h{level}"]).replace(" -", "-")


def draw_metric(metric: MetricHistory, now: float, *, only_week: bool = False) -> Sequence[LineChart]:
    """Return the charts, the shortest period first; a longer period without more points is left out."""
    limits = [each for each in (metric.limit, metric.lower_limit) if each is not None]
    oldest = metric.columns.times[0] if metric.columns.times else now
    found: list[LineChart] = []
    before = 0.0
    for name, days, count in _PERIODS[1:2] if only_week else _PERIODS:
        if not found or oldest < now - before:
            columns = make_columns(metric.columns, now, days * DAY, count)
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
