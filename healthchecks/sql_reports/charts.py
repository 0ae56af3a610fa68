"""Numbers as places in a drawing, for the template: curves and bars."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from healthchecks.sql_reports.store import Table

WIDTH, HEIGHT = 1000, 100  # of a curve's drawing, which is stretched to its place
_DAY = 86400.0
_POINTS = 360  # of a curve: four a day for 90 days
_MOST_BARS = 20
_ROOM = 34  # percent of a bar chart's width for names


@dataclass(frozen=True)
class Curve:
    """`path` is that of an SVG; the texts are next to it."""

    path: str
    lowest: str
    highest: str
    first: str
    last: str
    count: int


@dataclass(frozen=True)
class Bar:
    """Places in percent of the drawing's width."""

    name: str
    text: str
    start: float
    width: float


def trend(points: Sequence[tuple[float, float]], days: int) -> Curve | None:
    """Moments in seconds, and values; the last of each quarter of a day stands for it. None for fewer than two."""
    start = time.time() - days * _DAY
    within = [(moment, value) for moment, value in points if 0 <= moment - start <= days * _DAY]
    thinned = {int((moment - start) / (days * _DAY) * _POINTS): (moment, value) for moment, value in within}
    places = [((moment - start) / (days * _DAY), value) for moment, value in thinned.values()]
    return _curve(places) if len(places) > 1 else None


def line(table: Table, column: str) -> Curve | None:
    """The numbers of a column, row by row."""
    values = list(_numbers(table, column))
    if len(values) < 2:  # noqa: PLR2004 - a line needs two
        return None
    names = [name for name, _ in values]
    places = [(place / (len(values) - 1), value) for place, (_, value) in enumerate(values)]
    return _curve(places, names[0], names[-1])


def bars(table: Table, column: str) -> list[Bar]:
    """One for each of the first rows; all from zero."""
    values = list(_numbers(table, column))[:_MOST_BARS]
    low = min([0.0, *(value for _, value in values)])
    high = max([0.0, *(value for _, value in values)])
    scale = (100 - _ROOM - 14) / ((high - low) or 1)
    return [
        Bar(name, _short(value), _ROOM + (min(value, 0) - low) * scale, max(0.2, abs(value) * scale))
        for name, value in values
    ]


def _curve(places: Sequence[tuple[float, float]], first: str = "", last: str = "") -> Curve:
    values = [value for _, value in places]
    low, high = min(values), max(values)
    points = [
        f"{place * WIDTH:.1f},{HEIGHT / 2 if high == low else HEIGHT * (high - value) / (high - low):.1f}"
        for place, value in places
    ]
    return Curve("M" + " L".join(points), _short(low), _short(high), first, last or _short(values[-1]), len(points))


def _numbers(table: Table, column: str) -> Iterable[tuple[str, float]]:
    """Of each row the name, which is its first cell of another column, and the number; without NULL and NaN."""
    if column not in table.columns:
        return
    place = list(table.columns).index(column)
    if not table.numeric[place]:
        return
    naming = next((each for each in range(len(table.columns)) if each != place), place)
    for row in table.rows:
        cell = row[place]
        value = float(cell) if cell is not None else math.nan
        if math.isfinite(value):
            yield row[naming] or "", value


def _short(value: float) -> str:
    """Return 1234567 as 1.23 M, for a chart; the table has the whole number."""
    for limit, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= limit:
            return f"{value / limit * (10 if unit == ' k' else 1):.3g}{unit}"
    return f"{value:.4g}"
