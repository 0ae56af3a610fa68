"""A metric: a number that a check reports about its target, with its unit and the limits that it is checked against."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

Unit = Literal["seconds", "bytes", "ratio", "celsius", "none"]
"""The base units of Prometheus, https://prometheus.io/docs/practices/naming/; a ratio is 0 to 1, "none" is a count."""
MOST_METRICS = 20  # of one check
_UNITS = get_args(Unit)
_LONGEST_NAME = 100  # characters


@dataclass(frozen=True)
class Metric:
    """One number of one check in one run."""

    name: str
    """`used`, `messages orders`: for people and machines, the same in each run."""
    value: float
    unit: Unit = "none"
    limit: float | None = None
    """The check fails above it."""
    lower_limit: float | None = None
    """The check fails below it."""


def make_metric(
    name: object, value: object, unit: object = "none", limit: object = None, lower_limit: object = None
) -> Metric:
    """Return the metric. Raise ValueError for a name, unit or number that it cannot have, and say what instead."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError(f"metric {name!r:.200}: a name is a text of 1 to {_LONGEST_NAME} printable characters")
    if unit not in _UNITS:
        raise ValueError(f'metric "{name}": unit {unit!r:.200} is none of {", ".join(_UNITS)}')
    return Metric(
        name,
        _number(name, "value", value),
        cast("Unit", unit),
        None if limit is None else _number(name, "limit", limit),
        None if lower_limit is None else _number(name, "lower_limit", lower_limit),
    )


def _number(name: str, what: str, value: object) -> float:
    """Return a finite float, also of numbers of other libraries, such as Decimal."""
    number = _float(value)
    if number is None:
        raise ValueError(f'metric "{name}": {what} {value!r:.200} is no number')
    if not math.isfinite(number):
        raise ValueError(f'metric "{name}": {what} {number} is not finite')
    return number


def _float(value: object) -> float | None:
    if isinstance(value, bool | str | bytes):
        return None
    try:
        return float(cast("Any", value))
    except (TypeError, ValueError, OverflowError):
        return None


def merged(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """Return one metric for each name, the last one. Raise ValueError for more than MOST_METRICS names."""
    found = {each.name: each for each in metrics}
    if len(found) > MOST_METRICS:
        raise ValueError(f"a check has at most {MOST_METRICS} metrics, this one has {len(found)}")
    return tuple(found.values())
