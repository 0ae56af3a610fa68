"""Durations, sizes and percentages in the notation of people: "90s", "1.2GB", "90%"."""

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


_NUMBER = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z%]*)\s*")
_TOO_MUCH = 1e30  # of anything
_LONGEST = 3660 * 86400.0  # seconds
_LARGEST = 10**15  # bytes
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_DECIMAL = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def duration(value: object) -> float:
    """Return the seconds of 90, "90s", "3m", "1h" or "2d". Raise ValueError."""
    number = _number(value, _SECONDS, "a duration", 'seconds, or "90s", "3m", "1h", "2d"')
    if number > _LONGEST:
        raise ValueError(f"{value!r} is more than 3660d")
    return number


def size(value: object) -> int:
    """Return the bytes of 1200, "1.2GB" (decimal) or "1.2GiB" (binary). Raise ValueError."""
    number = round(_number(value, _BYTES, "a size", 'bytes, or "500MB", "1.2GB", "1.2GiB"'))
    if number > _LARGEST:
        raise ValueError(f"{value!r} is more than 1000TB")
    return number


def percentage(value: object) -> float:
    """Return the fraction of "90%" or 0.9, 0 to 1. Raise ValueError, also for a bare 1: it could mean 1 % or all."""
    number = _number(value, {"": 1.0, "%": 0.01}, "a percentage", '"90%" or 0.9')
    if number == 1 and not (isinstance(value, str) and "%" in value):
        raise ValueError(f'{value!r} may mean 1 % or all: write "1%" or "100%"')
    if number > 1:
        raise ValueError(f'{value!r} is more than all: write "90%" or 0.9')
    return number


def in_words(seconds: float) -> str:
    """Return a duration for people, in its two largest units: "0.25 s", "45 s", "3 min 20 s", "2 h", "5 d 3 h"."""
    if seconds < 59.95:  # noqa: PLR2004 - a minute, when rounded
        return f"{_three_digits(seconds)} s"
    parts: list[tuple[int, str]] = []
    rest = round(seconds)
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count)


def size_in_words(count: float) -> str:
    """Return a size in bytes for people, decimal: "1.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # noqa: PLR2004 - decimal units, when rounded
            return f"{_three_digits(count)} {unit}"
        count /= 1000
    return f"{_three_digits(count)} TB"


def percent(share: float) -> str:
    """Return a share for people: "93.8 %"."""
    return f"{share * 100:.1f} %"


def percent_limit(share: float) -> str:
    """Return a configured share for people, without a needless ".0": "90 %", "99.5 %"."""
    return percent(share).replace(".0 ", " ")


def part_in_words(part: float, whole: float) -> str:
    """Return two sizes for people, in the unit of the whole where that shows the part: "0.3 of 8.0 GB"."""
    name, unit = next((each for each in _DECIMAL if whole >= each[1]), ("B", 1))
    shown = size_in_words(part) if 0 < part < unit / 10 else f"{part / unit:.1f}"
    return f"{shown} of {whole / unit:.1f} {name}"


_SECOND, _MILLISECOND = 0.9995, 0.00095  # seconds, when rounded
_MOST_WRITTEN_OUT = 1e15  # a larger number has an exponent
_ENOUGH_DIGITS = 999.5  # above it a number has no decimal places


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: "1 message", "3 messages"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def duration_in_words(seconds: float) -> str:
    """Return the duration of a probe or a run: "12 ms", "3.4 s"."""
    if seconds < _SECOND:
        return f"{seconds * 1000:.0f} ms" if seconds > _MILLISECOND else f"{seconds * 1000:.2g} ms"
    return in_words(seconds)


def metric_in_words(value: float, unit: str) -> str:
    """Return a finite number with its unit (of `Metric`): "43 %", "1.2 GB", "120 ms", "41 °C", "7"."""
    if value < 0:
        return f"-{metric_in_words(-value, unit)}"
    if value < _MOST_WRITTEN_OUT and unit in _IN_WORDS:
        return _IN_WORDS[unit](value)
    symbol = _SYMBOLS.get(unit, unit)
    return f"{_number_in_words(value)} {symbol}".strip()


_IN_WORDS = {"seconds": duration_in_words, "bytes": size_in_words, "ratio": percent_limit}
_SYMBOLS = {"seconds": "s", "bytes": "B", "ratio": "", "celsius": "°C", "none": ""}


def _number_in_words(value: float) -> str:
    """Return three digits, or all of a whole number: "0.0012", "3.14", "12345", "1e+20"."""
    if value >= _MOST_WRITTEN_OUT:
        return f"{value:.3g}"
    return f"{value:.0f}" if value == int(value) or value >= _ENOUGH_DIGITS else f"{value:.3g}"


def metric_with_limits(name: str, value: float, unit: str, limit: float | None, lower_limit: float | None) -> str:
    """Return a metric for people: "used 93 % (limit 90 %)"."""
    limits = {"limit": limit, "lower limit": lower_limit}
    words = [f"{kind} {metric_in_words(each, unit)}" for kind, each in limits.items() if each is not None]
    return f"{name} {metric_in_words(value, unit)}" + (f" ({', '.join(words)})" if words else "")


def _three_digits(number: float) -> str:
    """Return a number with three digits, never like 1e+03: 0.00012 is "0", 1234.5 is "1234"."""
    if number >= 999.5:  # noqa: PLR2004 - more digits before the point
        return f"{number:.0f}"
    return f"{number:.3g}" if number >= 0.001 else "0"  # noqa: PLR2004 - a thousandth


def _number(value: object, units: dict[str, float] | dict[str, int], what: str, instead: str) -> float:
    number: float = math.nan
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        number = float(match["number"]) * units.get(match["unit"].lower(), math.nan)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if abs(value) < _TOO_MUCH else math.nan
    if 0 <= number < _TOO_MUCH:
        return number
    raise ValueError(f"{value!r} is not {what}: write {instead}")


def iso(moment: "datetime") -> str:
    """Return a time for programs, in UTC: "2026-11-24T04:10:00Z" (ISO 8601)."""
    from datetime import UTC

    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])")


def without_formula(text: str) -> str:
    """Return a CSV cell with an apostrophe before each formula; a number like -5 or +1e3 is no formula.

    Semicolons and tabs separate cells in some countries, so that a formula may also follow one of them.
    """
    return text if _PLAIN_NUMBER.fullmatch(text) else _FORMULA.sub(r"\1'", text)
