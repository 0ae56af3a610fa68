"""The forecast: when a metric will reach its limit, if it goes on as in the last days.

The trend is the Theil-Sen slope, the median of the slopes between all pairs of points (H. Theil, A rank-invariant
method of linear and polynomial regression analysis, 1950; P. K. Sen, Journal of the American Statistical Association
63, 1968). It ignores single peaks, but not jumps, so the points are cut into pieces at jumps, and only pairs within a
piece count. A metric that falls back again and again, as logs do when they are rotated, is expected to do so again:
there the trend is that of its tops.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise
from operator import lt

DAY = 86_400.0  # seconds
USEFUL_DAYS = 28
"""Of points: the trend is that of the last 7 days, older ones show whether the metric falls back regularly."""
_TREND_DAYS = 7
_HORIZON = 30  # days; what is farther away is no use to anybody
_SURELY = 0.5  # days in which even a trend that is interrupted shows; saves most of the work for most metrics
_BIN = 4 * 3600.0  # seconds: 42 in 7 days, so 861 pairs
_FEWEST_BINS = 12
_FEWEST_TOPS = 5
_MOST_TOPS = 7
_SHORTEST = 2.5  # days: in less a change from day to night looks like growth
_JUMP = 0.2  # of the range of the last 7 days
_OUTLYING = 4 * 1.4826  # times the median deviation: four standard deviations, where the noise is normal
_MOST_STEPS = 2  # upwards; with more it grows in steps, as by a backup each night
_AGREEING = 0.9  # of the pairs that must rise: Kendall's tau is at least 0.8
_SAME_TIME = 0.09  # days by which pairs are whole days apart
_ANY_TIME = 0.5
_SLOWEST = 0.2  # of the slope; with less in the last days, the growth has ended
_DAYS_SHOWN = 2  # less is shown in hours
_RUNAWAY = 0.1  # of the range, by which a metric that falls back regularly is above all earlier values


@dataclass(frozen=True)
class Forecast:
    """A metric reaches its limit."""

    reached_at: float
    """In unix seconds."""
    slope: float
    """Per day, in the unit of the metric; negative if it falls."""

    def days_left(self, now: float) -> float:
        """Return how many days after `now`, in unix seconds, the limit is reached; 0 if it is later already."""
        return max(0.0, (self.reached_at - now) / DAY)

    def in_words(self, limit: str, now: float) -> str:
        """Return "reaches 90 % in 12 d"; `limit` is the limit for people, `now` in unix seconds."""
        return f"reaches {limit} in {_days_in_words(self.days_left(now))}"


class _Sample:
    """The median of a few hours: time in days, value."""

    __slots__ = ("time", "value")

    def __init__(self, time: float, value: float) -> None:
        self.time, self.value = time, value


_Piece = Sequence[_Sample]


def forecast(points: Sequence[tuple[float, float]], limit: float, *, from_above: bool = False) -> Forecast | None:
    """Return when the points, of time in unix seconds and value, oldest first, reach the limit.

    `from_above` is for a limit that is reached by falling. None if the last value is beyond the limit already, if the
    limit is not reached within 30 days, if there are too few points (for less than 3 days in all), and if there is no
    trend but noise, a step, a rhythm of days, or a metric that falls back regularly.
    """
    times, values = zip(*points, strict=True) if points else ((), ())
    return forecast_columns(times, values, limit, from_above=from_above)


def forecast_columns(
    times: tuple[float, ...], values: tuple[float, ...], limit: float, *, from_above: bool = False
) -> Forecast | None:
    """Return the forecast of points that are given as times and values."""
    sign = -1.0 if from_above else 1.0
    if not values or sign * values[-1] >= sign * limit:
        return None
    now, least = times[-1], abs(limit - values[-1]) / _HORIZON  # per day
    recent = values[_start_of_trend(times) :]
    if max(recent) - min(recent) < least * _SURELY:
        return None
    line = _line(_samples(times, [sign * value for value in values]))
    if line is None:
        return None
    slope, value = line
    days = max(0.0, (sign * limit - value) / slope)
    return Forecast(now + days * DAY, sign * slope) if days <= _HORIZON else None


@lru_cache(maxsize=16)  # most checks of a page have results of the same times
def _start_of_trend(times: tuple[float, ...]) -> int:
    """Return the place of the first point of the last 7 days."""
    return next(place for place, time in enumerate(times) if times[-1] - time < _TREND_DAYS * DAY)


def _samples(times: tuple[float, ...], values: Sequence[float]) -> list[_Sample]:
    """Return one sample for each few hours that have points; its time is in days before now."""
    return [_Sample(time, _median(values[part])) for time, part in _divide(times)]


@lru_cache(maxsize=16)
def _divide(times: tuple[float, ...]) -> list[tuple[float, slice]]:
    """Return the time of each sample, and its points."""
    first = next(place for place, time in enumerate(times) if times[-1] - time < USEFUL_DAYS * DAY)
    days = [(time - times[-1]) / DAY for time in times]
    found, end = [], len(times)
    while end > first:
        start = bisect_left(days, (days[end - 1] // (_BIN / DAY)) * (_BIN / DAY), first, end)
        start = min(start, end - 1)
        found.append(((days[start] + days[end - 1]) / 2, slice(start, end)))
        end = start
    return found[::-1]


def _line(samples: _Piece) -> tuple[float, float] | None:
    """Return the slope, per day, and the value of now of what rises; None if nothing does."""
    falls, steps = _jumps(samples)
    if len(falls) > 1:
        return _line_of_runaway(samples, falls[-1]) or _line_of_tops(_pieces(samples, falls))
    cuts = sorted([*falls, *steps]) if len(steps) <= _MOST_STEPS else falls
    recent = [[each for each in piece if each.time > -_TREND_DAYS] for piece in _pieces(samples, cuts)]
    return _line_of([piece for piece in recent if piece])


def _line_of_runaway(samples: _Piece, fall: int) -> tuple[float, float] | None:
    """Return the line since the last fall if the metric is now above all before it; None if it is not."""
    before, since = [each.value for each in samples[:fall]], samples[fall:]
    top, bottom = max(before), min(each.value for each in samples)
    if since[-1].value <= top + _RUNAWAY * (top - bottom):
        return None
    return _line_of([[each for each in since if each.time > -_TREND_DAYS]])


def _line_of_tops(pieces: Sequence[_Piece]) -> tuple[float, float] | None:
    """Return the line through the highest samples between falls; the last piece may have its own still to come."""
    tops = [_Sample(piece[-1].time, max(each.value for each in piece)) for piece in pieces[:-1]][-_MOST_TOPS:]
    return _line_through([tops], 2.0, _ANY_TIME) if len(tops) >= _FEWEST_TOPS else None


def _line_of(pieces: Sequence[_Piece]) -> tuple[float, float] | None:
    count, days = sum(map(len, pieces)), sum(map(_length, pieces))
    return _line_through(pieces, 1.0, _SAME_TIME) if count >= _FEWEST_BINS and days >= _SHORTEST else None


def _line_through(pieces: Sequence[_Piece], certainty: float, tolerance: float) -> tuple[float, float] | None:
    """Return slope and value of now.

    None unless nearly all pairs rise that are at the same time of day, up to `tolerance` in days, and the rise exceeds
    `certainty` times the noise and has not ended meanwhile.
    """
    if _rising(pieces, tolerance) < _AGREEING:  # first, since it costs less than all the slopes
        return None
    slope = _median(_slopes(pieces))
    deviations = [each for piece in pieces for each in _deviations(piece, slope)]
    rise = slope * sum(map(_length, pieces))
    if rise < certainty * _noise(deviations) or _has_ended(deviations, slope):
        return None
    last_day = [each for each in pieces[-1] if each.time > pieces[-1][-1].time - 1]
    return slope, _median(_values_of_now(last_day, slope))


def _rising(pieces: Iterable[_Piece], tolerance: float) -> float:
    """Return the share that rises of the pairs within a piece that are whole days apart, up to `tolerance` in days.

    The seasonal test of R. M. Hirsch, J. R. Slack and R. A. Smith (Water Resources Research 18, 1982).
    """
    rising = count = 0
    for piece in pieces:
        values = [each.value for each in piece]
        earlier, later = _pairs(tuple([each.time for each in piece]), tolerance)
        rising += sum(map(lt, map(values.__getitem__, earlier), map(values.__getitem__, later)))
        count += len(later)
    return rising / count if count else 0.0


@lru_cache(maxsize=64)
def _pairs(times: tuple[float, ...], tolerance: float) -> tuple[list[int], list[int]]:
    """Return the places of those that are whole days apart: of the earlier and of the later ones."""
    found: list[tuple[int, int]] = []
    for place, time in enumerate(times):
        for days in range(1, int(times[-1] - time + tolerance) + 1):
            start = bisect_right(times, time + days - tolerance)
            end = bisect_right(times, time + days + tolerance, start)
            found += [(place, later) for later in range(start, end)]
    return [earlier for earlier, _ in found], [later for _, later in found]


def _slopes(pieces: Iterable[_Piece]) -> list[float]:
    """Return the slope of each pair within a piece."""
    return [
        (late.value - early.value) / (late.time - early.time)
        for piece in pieces
        for early, late in combinations(piece, 2)
    ]


def _values_of_now(piece: _Piece, slope: float) -> list[float]:
    """Return for each sample the value of now on the line of this slope through it."""
    return [each.value - slope * each.time for each in piece]


def _deviations(piece: _Piece, slope: float) -> list[_Sample]:
    """Return how far each sample is above the line of this slope through the middle of its piece."""
    values = _values_of_now(piece, slope)
    middle = _median(values)
    return [_Sample(sample.time, value - middle) for sample, value in zip(piece, values, strict=True)]


def _noise(deviations: _Piece) -> float:
    """Return the range of the middle eight tenths."""
    values, tenth = sorted(each.value for each in deviations), len(deviations) // 10
    return values[-1 - tenth] - values[tenth]


def _has_ended(deviations: _Piece, slope: float) -> bool:
    """Return whether neither of the last two days rises over the one before: whole days, since nights may differ."""
    days = [[each.value for each in deviations if -day - 1 < each.time <= -day] for day in range(3)]
    if not all(days):
        return False
    today, yesterday, before = (sum(day) / len(day) for day in days)
    return max(today - yesterday, yesterday - before) + slope < _SLOWEST * slope


def _jumps(samples: _Piece) -> tuple[list[int], list[int]]:
    """Return before which samples the metric falls, and where it rises, at once; what takes some hours is one jump."""
    if len(samples) < _FEWEST_BINS:
        return [], []
    changes = [late.value - early.value for early, late in pairwise(samples)]
    usual, values = _median(changes), [each.value for each in samples if each.time > -_TREND_DAYS]
    spread = _median([abs(each - usual) for each in changes])
    least = max(_JUMP * (max(values) - min(values)), _OUTLYING * spread)
    falls = [place for place, change in enumerate(changes, 1) if usual - change > least]
    steps = [place for place, change in enumerate(changes, 1) if change - usual > least]
    return _last_of_runs(falls), _last_of_runs(steps)


def _last_of_runs(places: Sequence[int]) -> list[int]:
    """Return the last one of those that follow each other."""
    return [place for place in places if place + 1 not in places]


def _pieces(samples: _Piece, cuts: Sequence[int]) -> list[_Piece]:
    return [samples[start:end] for start, end in pairwise([0, *cuts, len(samples)])]


def _length(piece: _Piece) -> float:
    """Return days."""
    return piece[-1].time - piece[0].time


def _median(values: Sequence[float]) -> float:
    values, middle = sorted(values), len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def _days_in_words(days: float) -> str:
    """Return "12 d", rounded down, since it is compared with a minimum; "30 h" below two days, and at least 1 h."""
    if days >= _DAYS_SHOWN:
        return f"{int(days)} d"
    return f"{max(1, int(days * 24))} h"
