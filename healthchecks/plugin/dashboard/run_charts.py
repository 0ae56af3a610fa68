"""The last runs of a check as bars: one path for each colour, so that sixty of them cost a few hundred bytes."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from markupsafe import Markup

from healthchecks.plugin.history import Point
from healthchecks.plugin.history.queries import BARS
from healthchecks.plugin.result import Status
from healthchecks.plugin.wording import word_of

_TOPS = {"failed": 0, "slow": 5, "ok": 9, "maintenance": 9, "blocked": 16, "skipped": 24}
"""Where a bar of 30 begins: states differ by height, too, not by colour alone."""
_LONGEST_NOTE = 160  # characters
_MOST_NOTES = 12  # of one check
_LETTERS = {"failed": "f", "slow": "s", "ok": "o", "maintenance": "m", "blocked": "b", "skipped": "k"}


class Trouble(NamedTuple):
    """Runs in a row that went wrong in the same way."""

    first: int  # unix seconds
    last: int
    runs: int
    word: str
    message: str


def colour_of(point: Point) -> str:
    if point.maintenance and point.status is not Status.SKIPPED:
        return "maintenance"
    return "failed" if point.status is Status.ERROR else str(point.status)


def bars(points: Sequence[Point]) -> Markup:
    """SVG, the newest to the right, in as many places as there may be."""
    paths: dict[str, list[str]] = {}
    for place, each in enumerate(points, BARS - len(points)):
        colour = colour_of(each)
        paths.setdefault(colour, []).append(f"M{10 * place + 5} {_TOPS[colour]}V30")
    empty = "".join(f"M{10 * place + 5} 24V30" for place in range(BARS - len(points)))
    drawn = "".join(f'<path class="{colour}" d="{"".join(parts)}"/>' for colour, parts in sorted(paths.items()))
    return Markup(f'<path class="empty" d="{empty}"/>' * bool(empty) + drawn)  # noqa: S704 - words and numbers of our own


def in_words(points: Sequence[Point]) -> str:
    """What a person hears who does not see the bars."""
    bad = sum(each.status not in (Status.OK, Status.SLOW) for each in points)
    runs = f"Last {len(points)} runs" if len(points) != 1 else "One run"
    return f"{runs}: {'all well' if not bad else f'{bad} not well'}"


def troubles(points: Iterable[Point]) -> list[Trouble]:
    """What went wrong in them, the newest first."""
    found = []
    for (status, message), group in itertools.groupby(points, key=lambda each: (each.status, each.message)):
        if status is not Status.OK:
            runs = list(group)
            found.append(Trouble(runs[0].time, runs[-1].time, len(runs), word_of(status), shorten(message)))
    return found[::-1]


def shorten(text: str, length: int = _LONGEST_NOTE) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def for_script(points: Mapping[str, Sequence[Point]]) -> dict[str, Any]:
    """What the script says of each bar. `points` by the id of the check's card; times are this machine's, local."""
    times = sorted({each.time for several in points.values() for each in several})
    places = {time: place for place, time in enumerate(times)}
    return {
        "times": [_local(time) for time in times],
        "checks": {name: _of_one(several, places) for name, several in points.items() if several},
    }


def _of_one(points: Sequence[Point], places: Mapping[int, int]) -> dict[str, Any]:
    notes: dict[int, str] = {}
    before = ""
    for place, each in enumerate(points):
        if each.message != before and len(notes) < _MOST_NOTES:
            notes[place] = shorten(each.message)
        before = each.message
    return {
        "runs": _ranges([places[each.time] for each in points]),
        "states": "".join(_LETTERS[colour_of(each)] for each in points),
        "seconds": [float(f"{each.seconds:.3g}") for each in points],
        "notes": notes,
    }


def _ranges(places: Iterable[int]) -> list[list[int]]:
    """First and last of those that follow each other."""
    found: list[list[int]] = []
    for each in places:
        if found and found[-1][1] == each - 1:
            found[-1][1] = each
        else:
            found.append([each, each])
    return found


def _local(time: int) -> int:
    """Seconds of the wall clock, so that the script says the same times as the page, whatever the reader's zone."""
    offset = datetime.fromtimestamp(time, UTC).astimezone().utcoffset()
    return time + int(offset.total_seconds() if offset else 0)


_HEIGHT = 36
_FEWEST = 2  # points that make a line


def chart(points: Sequence[Point], usual: tuple[float, float] | None) -> Markup:
    """SVG below the bars, in the same places; only of runs that are well. Empty for too few."""
    drawn = [
        (10 * place + 5, each.seconds)
        for place, each in enumerate(points, BARS - len(points))
        if each.status in (Status.OK, Status.SLOW)
    ]
    if len(drawn) < _FEWEST:
        return Markup()
    top = max([seconds for _, seconds in drawn] + [usual[1] if usual else 0.0]) * 1.1 or 1.0
    band = _band(usual, top) if usual else ""
    line = "".join(
        f"{'M' if index == 0 or x - drawn[index - 1][0] > 10 else 'L'}{x} {_height(seconds, top)}"  # noqa: PLR2004 - the next place
        for index, (x, seconds) in enumerate(drawn)
    )
    return Markup(f'{band}<path class="line" vector-effect="non-scaling-stroke" d="{line}"/>')  # noqa: S704 - numbers of our own


def _band(usual: tuple[float, float], top: float) -> str:
    low, high = _height(usual[0], top), _height(usual[1], top)
    return f'<path class="usual" d="M0 {high}H{10 * BARS}V{max(low, high + 1)}H0Z"/>'


def _height(seconds: float, top: float) -> int:
    return round(_HEIGHT - 2 - seconds / top * (_HEIGHT - 4))
