"""database.html, with a CSV file for each table: what is on it, with curves and bars, and where it goes."""

import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from healthchecks.plugin.dashboard import publication
from healthchecks.plugin.dashboard.template import render
from healthchecks.plugin.wording import make_headline
from healthchecks.sql_reports.store import State, Table
from servermonitoring import clock
from servermonitoring.values import without_formula

NAME = "database.html"
ONCE = "database-once.html"  # of a run with parameters of its own
DAYS = 90  # of a report's number that are drawn
_TALL = 15  # rows; a longer table scrolls in its frame
_WIDTH, _HEIGHT = 1000, 100  # of a curve's drawing, which is stretched to its place
_DAY = 86400.0
_POINTS = 360  # of a curve: four a day for 90 days
_MOST_BARS = 20
_ROOM = 34  # percent of a bar chart's width for names
Points = Sequence[tuple[float, float]]


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


@dataclass(frozen=True)
class ReportView:
    """One report, as the template wants it."""

    state: State
    anchor: str
    csv: str
    """Where its CSV file is, as a link."""
    trend: Curve | None
    bars: Sequence[Bar]
    line: Curve | None

    @property
    def is_failure(self) -> bool:
        return self.state.status in {"failed", "error"} and not (self.state.maintenance or self.state.silence)

    @property
    def is_old(self) -> bool:
        """Whether its table is of an earlier run."""
        return self.state.table is not None and self.state.table.asked < self.state.ran

    @property
    def is_tall(self) -> bool:
        return self.state.table is not None and len(self.state.table.rows) > _TALL


def write(directory: Path, states: Sequence[State], numbers: Mapping[str, Points], host: str, name: str = NAME) -> Path:
    """Write the page to a new file that replaces the old one. Raise OSError."""
    publication.publish(directory / name, html(states, numbers, host, name))
    return directory / name


def write_tables(directory: Path, states: Sequence[State], name: str) -> list[OSError]:
    """Write the files that the page of this name links to, each for itself; return what went wrong."""
    failed = []
    for state in states:
        try:
            if state.table:
                path = _csv_path(directory, name, state.name)
                for each in reversed(path.relative_to(directory).parents[:-1]):
                    publication.make_folder(directory / each)
                publication.publish(path, csv_text(state.table))
        except OSError as error:
            failed.append(error)
    return failed


def html(states: Sequence[State], numbers: Mapping[str, Points], host: str, name: str = NAME) -> str:
    shown = [_view(each, numbers.get(each.name, ()), name) for each in states]
    shown.sort(key=lambda each: (each.state.group, each.state.name))
    failures = [each for each in shown if each.is_failure]
    headline = make_headline(states, "report")
    return render(
        "database.html.j2",
        styles=("page.css", "database.css"),
        title=f"{headline} · {host}",
        headline=headline,
        mood="failed" if failures else "ok",
        groups=[(name, list(each)) for name, each in groupby(shown, lambda each: each.state.group)],
        overview=sorted(shown, key=lambda each: not each.is_failure),
        failures=failures,
        host=host,
        days=DAYS,
    )


def _view(state: State, trend: Points, page: str) -> ReportView:
    return ReportView(
        state=state,
        anchor=_anchor(state.name),
        csv=quote(os.fspath(_csv_path(Path(), page, state.name))) if state.table else "",
        trend=_trend(trend, DAYS),
        bars=_bars(state.table, state.chart[1]) if state.table and state.chart and state.chart[0] == "bar" else (),
        line=_line(state.table, state.chart[1]) if state.table and state.chart and state.chart[0] == "line" else None,
    )


def _anchor(name: str) -> str:
    """Return another one for each report: "a/b" and "a.b" are two."""
    anchor = name.replace("/", ".")
    return anchor if "." not in name else f"{anchor}-{zlib.crc32(name.encode()):08x}"


def _csv_path(directory: Path, page: str, name: str) -> Path:
    """Return a path in a folder called as the page; a name may hold dots and slashes, but leads nowhere else."""
    parts = [part for part in name.split("/") if part.strip(".")] or ["report"]
    return directory.joinpath(Path(page).stem, *parts[:-1], f"{parts[-1]}.csv")


def csv_text(table: Table) -> str:
    """Return CSV (RFC 4180), marked as UTF-8 for spreadsheets. NULL is an empty field, an empty text `""`."""
    lines = [[_text(name) for name in table.columns]]
    lines += [["" if cell is None else _text(cell) for cell in row] for row in table.rows]
    return "\ufeff" + "".join(",".join(line) + "\r\n" for line in lines)


def _text(text: str) -> str:
    return '"' + without_formula(text).replace('"', '""') + '"'


def _trend(points: Sequence[tuple[float, float]], days: int) -> Curve | None:
    """Return moments, in seconds, and values, the last of each quarter of a day; None for fewer than two."""
    start = clock.time() - days * _DAY
    within = [(moment, value) for moment, value in points if 0 <= moment - start <= days * _DAY]
    thinned = {int((moment - start) / (days * _DAY) * _POINTS): (moment, value) for moment, value in within}
    places = [((moment - start) / (days * _DAY), value) for moment, value in thinned.values()]
    return _curve(places) if len(places) > 1 else None


def _line(table: Table, column: str) -> Curve | None:
    """Return the numbers of a column, row by row."""
    values = list(_numbers(table, column))
    if len(values) < 2:  # noqa: PLR2004 - a line needs two
        return None
    names = [name for name, _ in values]
    places = [(place / (len(values) - 1), value) for place, (_, value) in enumerate(values)]
    return _curve(places, names[0], names[-1])


def _bars(table: Table, column: str) -> list[Bar]:
    """Return a bar for each of the first rows; all from zero."""
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
        f"{place * _WIDTH:.1f},{_HEIGHT / 2 if high == low else _HEIGHT * (high - value) / (high - low):.1f}"
        for place, value in places
    ]
    return Curve("M" + " L".join(points), _short(low), _short(high), first, last or _short(values[-1]), len(points))


def _numbers(table: Table, column: str) -> Iterable[tuple[str, float]]:
    """Return of each row the name, which is its first cell of another column, and the number; without NULL and NaN."""
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
