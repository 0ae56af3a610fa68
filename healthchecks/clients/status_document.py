"""status.json as another server's run has written it: what is read of it, and its JSON schema."""

import json
import sys
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

VERSION = 1  # of the documents that are read: the one that healthchecks/plugin/status_json.py writes
_MOST = 20_000  # checks
_MOST_RUNS = 1_000  # of one check


class StatusMetric(BaseModel):
    """A number that a check reported."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: FiniteFloat
    unit: Literal["seconds", "bytes", "ratio", "celsius", "none"]
    limit: FiniteFloat | None
    lower_limit: FiniteFloat | None


class StatusSilence(BaseModel):
    """A person has silenced the check."""

    model_config = ConfigDict(frozen=True)

    until: datetime
    user: str
    reason: str


class StatusRuns(BaseModel):
    """Runs in a row with the same status."""

    model_config = ConfigDict(frozen=True)

    status: Literal["ok", "slow", "failed", "error", "blocked", "skipped", "maintenance"]
    runs: int = Field(ge=1, le=_MOST_RUNS)


class StatusUptime(BaseModel):
    """The runs of a number of days that count for the uptime."""

    model_config = ConfigDict(frozen=True)

    days: int = Field(ge=1, le=100_000)
    passed: int = Field(ge=0, le=10**9)
    """Runs in which the check was ok or slow."""
    total: int = Field(ge=1, le=10**9)


class StatusEntry(BaseModel):
    """A check; a later version may have more keys."""

    model_config = ConfigDict(frozen=True)

    check: str
    target: str
    label: str = ""
    """Check and target for people."""
    group: str
    status: Literal["ok", "slow", "failed", "error", "blocked", "skipped"]
    since: datetime
    """Start of the present status, UTC."""
    duration: FiniteFloat
    """Seconds."""
    message: str
    maintenance: bool
    silence: StatusSilence | None = None
    runbook: str
    metrics: tuple[StatusMetric, ...]
    checked_at: datetime | None = None
    """Time of its last result, of a check that was not in the run."""
    recent: tuple[StatusRuns, ...] = Field(default=(), max_length=_MOST_RUNS)
    """Its last runs, the oldest first."""
    uptimes: tuple[StatusUptime, ...] = Field(default=(), max_length=20)
    """Of several periods, the shortest first."""


class StatusDocument(BaseModel):
    """status.json."""

    model_config = ConfigDict(frozen=True, title="status.json")

    version: int = Field(ge=1)
    generated: datetime
    """Time of writing, UTC."""
    host: str
    """Name of the machine."""
    status: Literal["ok", "failed"]
    """failed if one of the checks has the status failed or error, otherwise ok."""
    interrupted: bool
    """Whether the run was cut off."""
    without_result: int = Field(ge=0)
    """How many checks an interrupted run left out."""
    checks: tuple[StatusEntry, ...] = Field(max_length=_MOST)
    """The checks of the run."""
    others: tuple[StatusEntry, ...] = Field(max_length=_MOST)
    """The checks that were not in the run."""


def parse_status(body: bytes) -> StatusDocument:
    """Return the document. Raise ValueError, with the first place that is wrong."""
    try:
        return StatusDocument.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(each)[:50] for each in first["loc"])
        raise ValueError(f"{place}: {first['msg'][:200]}" if place else first["msg"][:200]) from None


def status_schema() -> dict[str, Any]:
    """Return the JSON schema of the document, as docs/status.schema.json has it."""
    return StatusDocument.model_json_schema()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(status_schema(), indent=2) + "\n")
