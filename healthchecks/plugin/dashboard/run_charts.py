"""Charts of the last runs of a check: bars, with one path for each colour to save bytes, and the line of durations."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from healthchecks.plugin.history import Point
from healthchecks.plugin.history.queries import BARS
from healthchecks.plugin.result import Status
from healthchecks.plugin.wording import CardStatus

_TOPS = {"failed": 0, "error": 0, "slow": 5, "ok": 9, "maintenance": 9, "blocked": 16, "skipped": 24}
"""Where a bar of 30 begins: statuses differ by height, too, not by colour alone."""
_BARS_BY_COLOUR = {colour: [f"M{10 * place + 5} {top}V30" for place in range(BARS)] for colour, top in _TOPS.items()}
_EMPTY_BARS = [f"M{10 * place + 5} 24V30" for place in range(BARS)]
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
    paths: dict[str, list[str]] = {}
    place = BARS - len(points)
    empty = "".join(_EMPTY_BARS[:place])
    for colour, several in itertools.groupby(map(choose_colour, points)):
        end = place + len(list(several))
        paths.setdefault(colour, []).extend(_BARS_BY_COLOUR[colour][place:end])
        place = end
    drawn = "".join(f'<path class="{colour}" d="{"".join(parts)}"/>' for colour, parts in sorted(paths.items()))
    return Markup(f'<path class="empty" d="{empty}"/>' * bool(empty) + drawn)  # noqa: S704 - words and numbers of our own


def describe_bars(points: Sequence[Point]) -> str:
    """Return the bars in words, for screen readers: "Last 60 runs: 2 failed, 58 ok"."""
    counts: Counter[str] = Counter([each.status for each in points])
    words = ", ".join(f"{counts[each]} {each.word}" for each in CardStatus if counts[each])
    if not points:
        return "No run"
    return f"Last {len(points)} runs: {words}" if len(points) > 1 else f"One run: {points[0].status}"


def list_periods(points: Iterable[Point]) -> list[Period]:
    """Return the periods with another status than ok, the newest first."""
    found = []
    for (status, message), group in itertools.groupby(points, key=lambda each: (each.status, each.message)):
        if status is not Status.OK:
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
        "statuses": "".join(_LETTERS[choose_colour(each)] for each in points),
        "durations": [float(f"{each.duration:.3g}") for each in points],
        "notes": notes,
    }


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


_HEIGHT = 36
_MIN_POINTS = 2  # of a line


def draw_line(points: Sequence[Point], usual: tuple[float, float] | None) -> Markup:
    """Return the SVG paths of the durations of ok and slow runs, below their bars; empty for too few."""
    drawn = [
        (10 * place + 5, each.duration)
        for place, each in enumerate(points, BARS - len(points))
        if each.status in (Status.OK, Status.SLOW)
    ]
    if len(drawn) < _MIN_POINTS:
        return Markup()
    top = max([duration for _, duration in drawn] + [usual[1] if usual else 0.0]) * 1.1 or 1.0
    band = _draw_band(usual, top) if usual else ""
    line = "".join(
        f"{'M' if index == 0 or x - drawn[index - 1][0] > 10 else 'L'}{x} {_height(duration, top)}"  # noqa: PLR2004 - the next place
        for index, (x, duration) in enumerate(drawn)
    )
    return Markup(f'{band}<path class="durations" vector-effect="non-scaling-stroke" d="{line}"/>')  # noqa: S704 - numbers of our own


def _draw_band(usual: tuple[float, float], top: float) -> str:
    low, high = _height(usual[0], top), _height(usual[1], top)
    return f'<path class="usual" d="M0 {high}H{10 * BARS}V{max(low, high + 1)}H0Z"/>'


def _height(duration: float, top: float) -> int:
    return round(_HEIGHT - 2 - duration / top * (_HEIGHT - 4))
