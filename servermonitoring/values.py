"""Durations, sizes and shares as people write them: "90s", "1.2GB", "90%"."""

import math
import re

_NUMBER = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z%]*)\s*")
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def duration(value: object) -> float:
    """Seconds of 90, "90s", "3m", "1h" or "2d". Raises ValueError."""
    return _measure(value, _SECONDS, "a duration", 'seconds, or "90s", "3m", "1h", "2d"')


def size(value: object) -> int:
    """Bytes of 1200, "1.2GB" (decimal) or "1.2GiB" (binary). Raises ValueError."""
    return round(_measure(value, _BYTES, "a size", 'bytes, or "500MB", "1.2GB", "1.2GiB"'))


def share(value: object) -> float:
    """A part of one, 0 to 1, of "90%" or 0.9. Raises ValueError."""
    number = _measure(value, {"": 1.0, "%": 0.01}, "a share", '"90%" or 0.9')
    if number > 1:
        raise ValueError(f'{value!r} is more than all: write "90%" or 0.9')
    return number


def in_words(seconds: float) -> str:
    """A duration for people, in its two largest units: "45 s", "3 min 20 s", "2 h", "5 d 3 h"."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.3g} s"
    parts: list[tuple[int, str]] = []
    rest = round(seconds)
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count)


def size_in_words(count: float) -> str:
    """Bytes for people, decimal: "1.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - decimal units
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _measure(value: object, units: dict[str, float] | dict[str, int], what: str, instead: str) -> float:
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        factor = units.get(match["unit"].lower())
        if factor is not None:
            return float(match["number"]) * factor
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    raise ValueError(f"{value!r} is not {what}: write {instead}")
