"""Finds durations that became longer, as distinct from noise: medians of several samples on both sides.

The median and the median absolute deviation (MAD) ignore single slow responses, which a mean would not. For normally
distributed values 1.4826 MAD is the standard deviation, and the median of n of them has a standard error of
1.2533 standard deviations / √n (Huber, Robust Statistics, 1981).
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LEAST_SAMPLES = 5  # on each side
_CERTAIN = 3.5  # standard errors
_NOTICEABLE = 0.005  # seconds: below that, only machines care
_RESOLUTION = 0.02  # of the median: no series is taken for steadier than that

Series = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Comparison:
    """One check before and now; seconds."""

    name: str
    before: float | None
    now: float | None
    slower: bool = False

    @property
    def factor(self) -> float | None:
        return self.now / self.before if self.now and self.before else None


def compare(before: Series, now: Series, factor: float) -> list[Comparison]:
    """Return every check of either side, by name; slower takes more than `factor` times as long, beyond noise."""
    return [_compare(name, before.get(name, ()), now.get(name, ()), factor) for name in sorted({*before, *now})]


def _compare(name: str, before: Sequence[float], now: Sequence[float], factor: float) -> Comparison:
    if not before or not now:
        return Comparison(name, _median(before), _median(now))
    was, is_ = statistics.median(before), statistics.median(now)
    error = math.hypot(_error(before), _error(now))
    noticeable = is_ - was > max(_NOTICEABLE, _CERTAIN * error)
    enough = min(len(before), len(now)) >= LEAST_SAMPLES
    return Comparison(name, was, is_, slower=enough and noticeable and is_ > factor * was)


def table(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the lines of the table for people, the slower ones first."""
    width = max((len(each.name) for each in comparisons), default=0)
    yield f"{'check':<{width}}  {'before':>9}  {'now':>9}  {'factor':>6}"
    for each in sorted(comparisons, key=lambda each: (not each.slower, -(each.factor or 0.0), each.name)):
        factor = f"{each.factor:.2f}" if each.factor else ""
        note = "SLOWER" if each.slower else "new" if each.before is None else "gone" if each.now is None else ""
        line = f"{each.name:<{width}}  {_in_ms(each.before):>9}  {_in_ms(each.now):>9}  {factor:>6}  {note}"
        yield line.rstrip()


def _in_ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _error(values: Sequence[float]) -> float:
    """Return the standard error of the median, by a robust estimate."""
    median = statistics.median(values)
    deviation = 1.4826 * statistics.median(abs(value - median) for value in values)
    return 1.2533 * max(deviation, _RESOLUTION * median) / math.sqrt(len(values))
