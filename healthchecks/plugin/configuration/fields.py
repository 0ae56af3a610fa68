"""Types for the keys of a target: durations, sizes and percentages as people write them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic.fields import FieldInfo

from servermonitoring import values

_TEXT_OR_NUMBER = [{"type": "number", "minimum": 0}, {"type": "string"}]
Duration = Annotated[
    float,
    BeforeValidator(values.duration),
    WithJsonSchema({"anyOf": _TEXT_OR_NUMBER, "description": 'seconds, or "90s", "3m", "1h", "2d"'}),
]
"""Seconds; written 90, "90s", "3m", "1h" or "2d"."""
Size = Annotated[
    int,
    BeforeValidator(values.size),
    WithJsonSchema({"anyOf": _TEXT_OR_NUMBER, "description": 'bytes, or "1.2GB" (decimal), "1.2GiB" (binary)'}),
]
"""Bytes; written 1200, "1.2GB" (decimal) or "1.2GiB" (binary)."""
Percentage = Annotated[
    float,
    BeforeValidator(values.percentage),
    WithJsonSchema({"anyOf": _TEXT_OR_NUMBER, "description": '"90%" or 0.9'}),
]
"""A part of one, 0 to 1; written "90%" or 0.9."""


_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def mentions(annotation: Any, kind: object) -> bool:
    """Whether a type is of this kind, or made of it: a list, a dictionary or one of several."""
    arguments = (*getattr(annotation, "__args__", ()), *getattr(annotation, "__metadata__", ()))
    return annotation == kind or any(mentions(each, kind) for each in arguments)


def bounds(field: FieldInfo) -> dict[str, Any]:
    """Return the limits of a field, by "gt", "ge", "lt", "le"."""
    found: dict[str, Any] = {}
    for each in _metadata(field):
        found |= {name: limit for name in _WORDS if (limit := getattr(each, name, None)) is not None}
    return found


def range_in_words(field: FieldInfo) -> str:
    """Return the limits of a field for people: "a number from 1 to 65535", "more than 0, at most 1 d"."""
    limits = {name: _number(limit, field) for name, limit in bounds(field).items()}
    if limits.keys() == {"ge", "le"}:
        return f"a number from {limits['ge']} to {limits['le']}"
    return ", ".join(f"{_WORDS[name]} {limit}" for name, limit in limits.items())


def _number(limit: float, field: FieldInfo) -> str:
    if limit and _is_read_by(values.duration, field):
        return values.in_words(limit)
    return values.size_in_words(limit) if limit and _is_read_by(values.size, field) else f"{limit:.15g}"


def _is_read_by(function: Any, field: FieldInfo) -> bool:
    return any(getattr(each, "func", None) is function for each in _metadata(field))


def _metadata(field: FieldInfo) -> list[Any]:
    inner = [data for each in getattr(field.annotation, "__args__", ()) for data in getattr(each, "__metadata__", ())]
    return [*field.metadata, *inner]
