"""Charts of the last runs of a check: bars, with one path for each colour, and the line of durations."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from healthchecks.plugin.dashboard.line_chart import ChartColumns, LineChart, draw_chart
from healthchecks.plugin.history import Point
from healthchecks.plugin.history.queries import BARS
from healthchecks.plugin.result import Status
from healthchecks.plugin.wording import CardStatus

_ROWS = {
    "failed": (15,), "error": (6, 24), "slow": (17.5,), "ok": (19.5,), "maintenance": (19.5,), "blocked": (23,),
    "skipped": (27,), "empty": (27,),
}  # fmt: skip
"""The middle of a bar of 30: statuses differ by height, too, not by colour alone; those of an error have two parts.

status.css has the heights as the width of a dashed line, of which each dash is a bar.
"""
_MAX_NOTE = 160  # characters
_MAX_NOTES = 12  # of one check
_LETTERS = {"failed": "f", "error": "e", "slow": "s", "ok": "o", "maintenance": "m", "blocked": "b", "skipped": "k"}
"""As status.js has them."""


class Period(NamedTuple):
    """Runs in a row with the same status and message."""

    first: int  # unix seconds
    last: int
    runs: int
    word: str
    message: str


def choose_colour(point: Point) -> str:
    """Return the class of the bar."""
    return "maintenance" if point.maintenance and point.status is not Status.SKIPPED else str(point.status)


def draw_bars(points: Sequence[Point]) -> Markup:
    """Return the SVG paths of the bars, the newest to the right, with empty places for runs that are missing."""
    return draw_stretches([(colour, len([*same])) for colour, same in itertools.groupby(map(choose_colour, points))])


def draw_stretches(stretches: Sequence[tuple[str, int]]) -> Markup:
    """Return the same of at most BARS runs: colour, and number of runs in a row."""
    paths: dict[str, list[str]] = {}
    place = BARS - sum(count for _, count in stretches)
    if place:
        paths["empty"] = _draw_dashes("empty", 0, place)
    for colour, count in stretches:
        paths.setdefault(colour, []).extend(_draw_dashes(colour, place, count))
        place += count
    drawn = (f'<path class="{colour}" d="{"".join(parts)}"/>' for colour, parts in sorted(paths.items()))
    return Markup("".join(drawn))  # noqa: S704 - words and numbers of our own


def _draw_dashes(colour: str, place: int, count: int) -> list[str]:
    return [f"M{10 * place + 1.5:g} {row:g}h{10 * count - 3}" for row in _ROWS[colour]]


def describe_bars(points: Sequence[Point]) -> str:
    """Return the bars in words, for screen readers: "Last 60 runs: 2 failed, 58 ok"."""
    counts: Counter[str] = Counter([each.status for each in points])
    words = ", ".join(f"{counts[each]} {each.word}" for each in CardStatus if counts[each])
    if not points:
        return "No run"
    return f"Last {len(points)} runs: {words}" if len(points) > 1 else f"One run: {points[0].status}"


def list_periods(points: Iterable[Point]) -> list[Period]:
    """Return the periods with another status than ok and skipped, the newest first."""
    found = []
    for (status, message), group in itertools.groupby(points, key=lambda each: (each.status, each.message)):
        if status not in (Status.OK, Status.SKIPPED):
            runs = list(group)
            found.append(Period(runs[0].time, runs[-1].time, len(runs), str(status), shorten(message)))
    return found[::-1]


def shorten(text: str, length: int = _MAX_NOTE) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def make_script_data(points: Mapping[str, Sequence[Point]]) -> dict[str, Any]:
    """Return the data of the bars for status.js; `points` by the id of the card, times in local time."""
    times = sorted({each.time for several in points.values() for each in several})
    places = {time: place for place, time in enumerate(times)}
    return {
        "times": [_local_seconds(time) for time in times],
        "checks": {name: _make_check_data(several, places) for name, several in points.items() if several},
    }


def _make_check_data(points: Sequence[Point], places: Mapping[int, int]) -> dict[str, Any]:
    notes: dict[int, str] = {}
    before = ""
    for place, each in enumerate(points):
        if each.message != before and len(notes) < _MAX_NOTES:
            notes[place] = shorten(each.message)
        before = each.message
    return {
        "runs": _join_ranges([places[each.time] for each in points]),
        "statuses": _count_letters(_LETTERS[choose_colour(each)] for each in points),
        "durations": [_milliseconds(each.duration) for each in points],
    } | ({"notes": notes} if notes else {})


def _count_letters(letters: Iterable[str]) -> str:
    """Return each row of the same letters as its length and the letter: "58o2f"."""
    return "".join(f"{len([*several])}{letter}" for letter, several in itertools.groupby(letters))


def _milliseconds(duration: float) -> float:
    """Return two digits at least; in JSON they are shorter than seconds."""
    return round(duration * 1000) if duration >= 0.01 else float(f"{duration * 1000:.2g}")  # noqa: PLR2004 - ten of them


def _join_ranges(places: Iterable[int]) -> list[list[int]]:
    """Return first and last of each row of consecutive numbers."""
    found: list[list[int]] = []
    for each in places:
        if found and found[-1][1] == each - 1:
            found[-1][1] = each
        else:
            found.append([each, each])
    return found


def _local_seconds(time: int) -> int:
    """Return seconds of the local clock, so that the script shows the times of the page in any time zone."""
    offset = datetime.fromtimestamp(time, UTC).astimezone().utcoffset()
    return time + int(offset.total_seconds() if offset else 0)


def draw_durations(points: Sequence[Point], usual: tuple[float, float] | None) -> Sequence[LineChart]:
    """Return the chart of the durations of ok and slow runs, below their bars; none for too few."""
    found = [
        (place, each.duration)
        for place, each in enumerate(points, BARS - len(points))
        if each.status in (Status.OK, Status.SLOW)
    ]
    places, durations = zip(*found, strict=True) if found else ((), ())
    columns = ChartColumns(places, durations, durations, durations)
    chart = draw_chart("duration", f"last {BARS} runs", columns, "seconds", usual=usual, width=BARS)
    return [chart] if chart else []
