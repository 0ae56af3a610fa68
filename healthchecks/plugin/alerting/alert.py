"""What an outlet (Sentry, the webhook) is asked to tell: one event about one check."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from healthchecks.plugin.alerting.policy import Action, Key
from healthchecks.plugin.result import Result

_NAMESPACE = uuid.UUID("6f2a0a57-6c0f-4f0c-9a76-7a4d2f2f6f0e")


@dataclass(frozen=True)
class Past:
    """One earlier run of a check."""

    time: datetime
    status: str
    seconds: float


@dataclass(frozen=True)
class Alert:
    """An event to send. No text in it holds a secret."""

    id: str
    """The same if a killed run is repeated: servers drop the second of two with one id."""
    key: Key
    action: Action
    label: str
    message: str
    level: str
    """"error" or, of a message of its own, what that says."""
    time: datetime
    since: datetime
    failures: int
    """Runs in a row, this one included."""
    suppressed: int
    """Failures that were not told since the last event."""
    host: str
    result: Result | None = None
    past: Sequence[Past] = ()
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How it reads in a list: website[home]: answers 502 instead of 200."""
        return f"{self.label}: {self.message}"

    @property
    def fingerprint(self) -> list[str]:
        """What belongs to one issue: the check of a target, wherever it runs, unless it is about the machine itself.

        A message of its own is an issue of its own.
        """
        check, target, topic = self.key
        of_host = [f"on {self.host}"] if self.result is None or self.result.local else []
        return [check, target, *([] if topic in ("", LOG) else [topic]), *of_host]


LOG = "log"
"""The topic of log.error(): told in the issue of its check."""


def event_id(*parts: object) -> str:
    """A UUID in hex, as Sentry wants it, made of what tells this event from all others."""
    text = "\0".join(map(str, parts)).encode(errors="backslashreplace")  # a name of anything may hold anything
    return uuid.uuid5(_NAMESPACE, text.decode()).hex
