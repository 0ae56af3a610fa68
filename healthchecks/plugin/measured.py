"""A measurement: the function that measures one target, found again behind the fixture that stands for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from healthchecks.plugin.target import Target

MARK = "healthchecks_measurement"


@dataclass(frozen=True)
class Measurement:
    """A function that measures one target, and how many of it may run at a time."""

    function: Callable[..., Any]
    parameter: str
    target: type[Target]
    concurrent: int | None = None

    @property
    def name(self) -> str:
        return self.function.__name__


def measurement_of(fixture_function: object) -> Measurement | None:
    """The measurement behind a fixture's function, if it is one."""
    return cast("Measurement | None", getattr(fixture_function, MARK, None))
