"""A probe: the function that contacts one target, found again behind the fixture that stands for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from healthchecks.plugin.target import Target

MARK = "healthchecks_probe"


@dataclass(frozen=True)
class Probe:
    """A function that contacts one target, and how many of it may run at a time."""

    function: Callable[..., Any]
    parameter: str
    target: type[Target]
    concurrent: int | None = None

    @property
    def name(self) -> str:
        return self.function.__name__


def probe_of(fixture_function: object) -> Probe | None:
    """The probe behind a fixture's function, if it is one."""
    return cast("Probe | None", getattr(fixture_function, MARK, None))
