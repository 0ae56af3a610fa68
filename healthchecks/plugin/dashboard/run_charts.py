"""Charts of the last runs of a check: bars, with one path for each colour, and the line of durations."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
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


class Stretch(NamedTuple):
    """Runs in a row with the same status, message and maintenance: a check has few of them."""

    first: Point
    last: Point
    runs: int


def find_stretches(points: Iterable[Point]) -> list[Stretch]:
    """Return the stretches, oldest first."""
    groups = ([*same] for _, same in itertools.groupby(points, itemgetter(1, 3, 4)))
    return [Stretch(each[0], each[-1], len(each)) for each in groups]


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


def draw_bars(stretches: Iterable[Stretch]) -> Markup:
    """Return the SVG paths of the bars, the newest to the right, with empty places for runs that are missing."""
    return draw_colours([(choose_colour(each.first), each.runs) for each in stretches])


def draw_colours(colours: Sequence[tuple[str, int]]) -> Markup:
    """Return the same of at most BARS runs: colour, and number of runs in a row."""
    paths: dict[str, list[str]] = {}
    place = BARS - sum(count for _, count in colours)
    if place:
        paths["empty"] = _draw_dashes("empty", 0, place)
    for colour, same in itertools.groupby(colours, itemgetter(0)):
        count = sum(runs for _, runs in same)
        paths.setdefault(colour, []).extend(_draw_dashes(colour, place, count))
        place += count
    drawn = (f'<path class="{colour}" d="{"".join(parts)}"/>' for colour, parts in sorted(paths.items()))
    return Markup("".join(drawn))  # noqa: S704 - words and numbers of our own


def _draw_dashes(colour: str, place: int, count: int) -> list[str]:
    return [f"M{10 * place + 1.5:g} {row:g}h{10 * count - 3}" for row in _ROWS[colour]]


def describe_bars(stretches: Sequence[Stretch]) -> str:
    """Return the bars in words, for screen readers: "Last 60 runs: 2 failed, 58 ok"."""
    counts: Counter[str] = Counter()
    for each in stretches:
        counts[each.first.status] += each.runs
    if not counts:
        return "No run"
    if counts.total() == 1:
        return f"One run: {stretches[0].first.status}"
    words = ", ".join(f"{counts[each]} {each.word}" for each in CardStatus if counts[each])
    return f"Last {counts.total()} runs: {words}"


def list_periods(stretches: Iterable[Stretch]) -> list[Period]:
    """Return the periods with another status than ok and skipped, the newest first."""
    found = []
    for (status, message), group in itertools.groupby(stretches, lambda each: (each.first.status, each.first.message)):
        if status not in (Status.OK, Status.SKIPPED):
            several = list(group)
            first, last, runs = several[0].first, several[-1].last, sum(each.runs for each in several)
            found.append(Period(first.time, last.time, runs, str(status), shorten(message)))
    return found[::-1]


def shorten(text: str, length: int = _MAX_NOTE) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def make_script_data(found: Mapping[str, tuple[Sequence[Point], Sequence[Stretch]]]) -> dict[str, Any]:
    """Return the data of the bars for status.js; `found` by the id of the card, times in local time."""
    times = sorted({each.time for points, _ in found.values() for each in points})
    places = {time: place for place, time in enumerate(times)}
    return {
        "times": [_local_seconds(time) for time in times],
        "checks": {name: _make_check_data(*several, places) for name, several in found.items() if several[0]},
    }


def _make_check_data(
    points: Sequence[Point], stretches: Sequence[Stretch], places: Mapping[int, int]
) -> dict[str, Any]:
    notes: dict[int, str] = {}
    place, before = 0, ""
    for first, _, runs in stretches:
        if first.message != before and len(notes) < _MAX_NOTES:
            notes[place] = shorten(first.message)
        place, before = place + runs, first.message
    return {
        "runs": _join_ranges([places[each.time] for each in points]),
        "statuses": _count_letters((_LETTERS[choose_colour(first)], runs) for first, _, runs in stretches),
        "durations": [_milliseconds(each.duration) for each in points],
    } | ({"notes": notes} if notes else {})


def _count_letters(letters: Iterable[tuple[str, int]]) -> str:
    """Return each row of the same letters as its length and the letter: "58o2f"."""
    rows = itertools.groupby(letters, itemgetter(0))
    return "".join(f"{sum(runs for _, runs in same)}{letter}" for letter, same in rows)


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
