"""The watchdog: its heartbeat, and how many browsers it kills, from the state that it writes for others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pytest
from pydantic import ConfigDict, Field, model_validator

from healthchecks import Target, metric
from servermonitoring import clock
from servermonitoring.values import in_words

if TYPE_CHECKING:
    from servermonitoring.watchdog_state import Heartbeat

_HOUR = 3600  # seconds
_PATIENCE = 60  # seconds that a busy machine may delay a scan


class Watchdog(Target):
    # The watchdog validates its rules itself; here any table is accepted.
    model_config = ConfigDict(json_schema_extra={"additionalProperties": {"type": "object"}})

    single: ClassVar[bool] = True
    local: ClassVar[bool] = True

    max_kills_per_hour: int = Field(default=6, ge=0, le=100_000)
    """Maximum number of browsers that the watchdog killed within the last hour."""

    @classmethod
    def defaults(cls) -> dict[str, Self]:
        return {"": cls()}

    @model_validator(mode="before")
    @classmethod
    def _without_rules(cls, keys: Any) -> Any:
        if not isinstance(keys, dict):
            return keys
        return {key: value for key, value in keys.items() if not isinstance(value, dict)}


@dataclass(frozen=True)
class Life:
    """State of the watchdog; `silent` and `overdue` in seconds."""

    beat: "Heartbeat"
    silent: float
    overdue: float
    """Maximum time since the last heartbeat."""
    killed: Sequence[str]
    """The messages about the kills of the last hour, oldest first."""


def test_watchdog(watchdog: Watchdog, state_directory: Path) -> None:
    life = _life(state_directory)
    count = len(life.killed)
    metric("kills", count, limit=watchdog.max_kills_per_hour)
    if life.silent <= life.overdue:
        metric("browsers", life.beat.browsers)
        metric("heaviest", life.beat.heaviest, "bytes", limit=life.beat.heaviest_limit)
    assert life.silent <= life.overdue, f"no heartbeat of the watchdog for {in_words(round(life.silent))}"
    assert count <= watchdog.max_kills_per_hour, (
        f"{count} browsers killed within an hour, maximum {watchdog.max_kills_per_hour}; last: {life.killed[-1]}"
    )


def _life(directory: Path) -> Life:
    from servermonitoring.watchdog_state import heartbeat, kills

    beat, now = heartbeat(directory), clock.time()
    if beat is None:
        pytest.skip("no watchdog was ever started here")
    killed = [kill.message for kill in kills(directory, since=now - _HOUR)]
    return Life(beat, now - beat.time, 2 * beat.poll_interval + _PATIENCE, killed)
