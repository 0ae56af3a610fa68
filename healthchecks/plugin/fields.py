"""Types for the keys of a target: durations, sizes and percentages as people write them."""

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

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
