"""database.html, with a CSV file for each table: what is on it, and where it goes."""

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from healthchecks.plugin.dashboard import publish
from healthchecks.plugin.dashboard.template import render
from healthchecks.plugin.wording import make_headline
from healthchecks.sql_reports import charts
from healthchecks.sql_reports.store import State, Table
from servermonitoring.values import without_formula


def csv_text(table: Table) -> str:
    """RFC 4180, with the mark by which spreadsheets know UTF-8. NULL is an empty field, an empty text `""`."""
    lines = [[_text(name) for name in table.columns]]
    lines += [["" if cell is None else _text(cell) for cell in row] for row in table.rows]
    return "\ufeff" + "".join(",".join(line) + "\r\n" for line in lines)


def _text(text: str) -> str:
    return '"' + without_formula(text).replace('"', '""') + '"'


NAME = "database.html"
ONCE = "database-once.html"  # of a run with parameters of its own
DAYS = 90  # of a report's number that are drawn
_TALL = 15  # rows; a longer table scrolls in its frame
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class ReportView:
    """One report, as the template wants it."""

    state: State
    anchor: str
    csv: str
    """Where its CSV file is, as a link."""
    trend: charts.Curve | None
    bars: Sequence[charts.Bar]
    line: charts.Curve | None

    @property
    def is_failure(self) -> bool:
        return self.state.status in {"failed", "error"} and not self.state.maintenance

    @property
    def is_old(self) -> bool:
        """Whether its table is of an earlier run."""
        return self.state.table is not None and self.state.table.asked < self.state.ran

    @property
    def is_tall(self) -> bool:
        return self.state.table is not None and len(self.state.table.rows) > _TALL


def write(directory: Path, states: Sequence[State], numbers: Mapping[str, Points], host: str, name: str = NAME) -> Path:
    """Write the page to a new file that replaces the old one. Raise OSError."""
    publish.publish(directory / name, html(states, numbers, host, name))
    return directory / name


def write_tables(directory: Path, states: Sequence[State], name: str) -> list[OSError]:
    """Write the files that the page of this name links to, each for itself; return what went wrong."""
    failed = []
    for state in states:
        try:
            if state.table:
                path = _csv_path(directory, name, state.name)
                for each in reversed(path.relative_to(directory).parents[:-1]):
                    publish.make_folder(directory / each)
                publish.publish(path, csv_text(state.table))
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
        trend=charts.trend(trend, DAYS),
        bars=charts.bars(state.table, state.chart[1])
        if state.table and state.chart and state.chart[0] == "bar"
        else (),
        line=charts.line(state.table, state.chart[1])
        if state.table and state.chart and state.chart[0] == "line"
        else None,
    )


def _anchor(name: str) -> str:
    """Another one for each report: "a/b" and "a.b" are two."""
    anchor = name.replace("/", ".")
    return anchor if "." not in name else f"{anchor}-{zlib.crc32(name.encode()):08x}"


def _csv_path(directory: Path, page: str, name: str) -> Path:
    """In a folder called as the page; a name may hold dots and slashes, but leads nowhere else."""
    parts = [part for part in name.split("/") if part.strip(".")] or ["report"]
    return directory.joinpath(Path(page).stem, *parts[:-1], f"{parts[-1]}.csv")
