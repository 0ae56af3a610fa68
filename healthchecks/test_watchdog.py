"""The watchdog: it is alive, and does not have to kill all the time. Skipped where none was ever started."""

import time
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from pydantic import Field, model_validator

from healthchecks import Target
from servermonitoring.values import in_words
from watchdog.state import heartbeat, kills

_HOUR = 3600.0
_PATIENCE = 60.0  # seconds beyond the next look that was announced: a loaded machine is not a dead watchdog


class Watchdog(Target):
    single: ClassVar[bool] = True

    max_kills_per_hour: int = Field(default=6, ge=0)
    """Most browsers that may have been killed within the last hour."""

    @model_validator(mode="before")
    @classmethod
    def _without_rules(cls, keys: Any) -> Any:
        """The tables below [watchdog] are the watchdog's rules, and its to judge."""
        return {key: value for key, value in keys.items() if not isinstance(value, dict)}

    @classmethod
    def defaults(cls) -> dict[str, Self]:
        return {"": cls()}


def test_watchdog_alive(watchdog: Watchdog, state_directory: Path) -> None:  # noqa: ARG001 - its common keys count
    beat = heartbeat(state_directory)
    if beat is None:
        pytest.skip("no watchdog was ever started here")
    silent = time.time() - beat.time
    assert silent <= beat.poll_interval + _PATIENCE, f"no sign of life of the watchdog for {in_words(silent)}"


def test_watchdog_kills(watchdog: Watchdog, state_directory: Path) -> None:
    if heartbeat(state_directory) is None:
        pytest.skip("no watchdog was ever started here")
    killed = len(kills(state_directory, time.time() - _HOUR))
    most = watchdog.max_kills_per_hour
    assert killed <= most, f"{killed} browsers were killed within an hour, at most {most}"
