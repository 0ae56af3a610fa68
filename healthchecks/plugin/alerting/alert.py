"""One message about one check, as it is handed to a channel: Sentry, the webhook."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import quote

from healthchecks.plugin.alerting.policy import Action, Key
from healthchecks.plugin.anchor import make_anchor
from healthchecks.plugin.metric import Metric
from healthchecks.plugin.result import Result
from servermonitoring.delivery.alert_filter import AlertFilter

_NAMESPACE = uuid.UUID("6f2a0a57-6c0f-4f0c-9a76-7a4d2f2f6f0e")


@dataclass(frozen=True)
class EarlierResult:
    """A check's result in an earlier run."""

    time: datetime
    status: str
    duration: float


@dataclass(frozen=True)
class Alert:
    """An event or a recovery to send. No text in it holds a secret."""

    id: str
    """The same if a killed run is repeated: servers drop the second of two with one id."""
    key: Key
    action: Action
    label: str
    message: str
    level: str
    """"error"; of a recovery "info"; of a message of its own, the level it was given."""
    time: datetime
    since: datetime
    failures: int
    """Failing runs in a row, this one included; of a recovery all that there were."""
    suppressed: int
    """Failures since the last event for which none was sent."""
    host: str
    result: Result | None = None
    earlier: Sequence[EarlierResult] = ()
    """Newest first."""
    data: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    """The check on the page; empty without `[dashboard] url`."""
    filters: frozenset[AlertFilter] = frozenset({AlertFilter()})
    """It goes to the channels with one of these."""

    @property
    def is_recovery(self) -> bool:
        """Whether a failure that was alerted is over."""
        return self.action is Action.RECOVERED

    @property
    def is_kill(self) -> bool:
        """Whether it reports what the watchdog killed."""
        return self.key[0] == KILL

    @property
    def is_test(self) -> bool:
        """Whether nothing is wrong, and somebody only wants to know who gets it."""
        return self.key == TEST

    @property
    def metrics(self) -> Sequence[Metric]:
        """The numbers of the check in this run, the main one first."""
        return self.result.metrics if self.result else ()

    @property
    def runbook(self) -> str:
        return self.result.runbook if self.result else ""

    @property
    def title(self) -> str:
        """The line in a list: website[home]: status 502 instead of 200; website[home] recovered after 42 min."""
        if self.is_recovery and self.result:
            return f"{self.label} {self.message}"
        return f"{self.label}: {self.message}"

    @property
    def fingerprint(self) -> list[str]:
        """What makes one issue: the check and its target, wherever it runs; with the host if it is about the machine.

        A message of its own is an issue of its own.
        """
        check, target, topic = self.key
        of_host = [f"on {self.host}"] if self.result is None or self.result.local else []
        return [check, target, *([] if topic in ("", LOG) else [topic]), *of_host]


_SUITE = "suite"


def linked(alert: Alert, page: str) -> Alert:
    """Return the alert with a link to its check; `page` is the URL of the page, or empty.

    Errors of the suite and kills have no place of their own on it.
    """
    if not page:
        return alert
    check, target, _ = alert.key
    return replace(alert, link=page if check in (_SUITE, KILL) else f"{page}#{quote(make_anchor(check, target))}")


TEST = ("suite", "test", "")
"""The key of the alert of --monitoring-test-alert."""
KILL = "watchdog_kill"
"""In place of a check: what the watchdog killed."""
LOG = "log"
"""The topic of log.error(), which belongs to the issue of its check."""


def event_id(*parts: object) -> str:
    """Return a UUID in hex, as Sentry wants it, made of what distinguishes this event from all others."""
    text = "\0".join(map(str, parts)).encode(errors="backslashreplace")  # a name of anything may hold anything
    return uuid.uuid5(_NAMESPACE, text.decode()).hex
