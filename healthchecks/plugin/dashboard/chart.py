"""The course of the time that a check took, with what is usual for it."""

from collections.abc import Sequence

from markupsafe import Markup

from healthchecks.plugin.result import Status
from healthchecks.plugin.sinks.history import Point
from healthchecks.plugin.sinks.history.looking_back import BARS

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
