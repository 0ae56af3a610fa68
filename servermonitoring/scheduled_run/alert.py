"""An alert by the shortest way: straight to the receiver, without spool, thread, temporary file or sentry_sdk."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from servermonitoring import envelope
from servermonitoring.answers import Fate, UnansweredError, UnreachableError
from servermonitoring.dsn import Dsn
from servermonitoring.envelope import Origin, scrubbed
from servermonitoring.scheduled_run.settings import Settings
from servermonitoring.sentry import SentryRecipient
from servermonitoring.spool import Recipient
from servermonitoring.values import iso
from servermonitoring.webhook import WebhookRecipient

_TIMEOUT = 10.0  # seconds for each step of a delivery
_LIMIT = 30.0  # seconds for a whole one
_CHECK, _TARGET = "suite", "run"  # beside suite[history], suite[page] …


@dataclass(frozen=True)
class Alert:
    """The suite could not do its work: why, and what it wrote last."""

    message: str
    output: str

    @property
    def label(self) -> str:
        return f"{_CHECK}[{_TARGET}]"


def send(alert: Alert, settings: Settings) -> list[tuple[str, str]]:
    """Send it to Sentry and the webhook, whichever are configured. Return each receiver with what went wrong."""
    return [
        (name, wrong)
        for name, deliver in (("Sentry", _to_sentry), ("the webhook", _to_webhook))
        if (wrong := _attempt(deliver, alert, settings)) is not None
    ]


def _attempt(deliver: Callable[[Alert, Settings], str | None], alert: Alert, settings: Settings) -> str | None:
    try:
        with _limited(_LIMIT):
            return deliver(alert, settings)
    except (OSError, ValueError, UnreachableError, UnansweredError) as error:
        return str(error)


def _to_sentry(alert: Alert, settings: Settings) -> str | None:
    if not (text := settings.dsn):
        return None
    identity = os.urandom(16).hex()
    event = json.dumps(scrubbed(_event(alert, settings, identity))).encode()
    headers = {"event_id": identity}, {"type": "event", "length": len(event)}
    content = b"\n".join([*(json.dumps(each).encode() for each in headers), event, b""])
    return _post(SentryRecipient(Dsn.parse(text)), content, identity)


def _to_webhook(alert: Alert, settings: Settings) -> str | None:
    if not (url := settings.webhook):
        return None
    identity = os.urandom(16).hex()
    return _post(WebhookRecipient(url), json.dumps(scrubbed(_document(alert, identity))).encode(), identity)


def _post(recipient: Recipient, content: bytes, identity: str) -> str:
    """Empty if it was taken."""
    body, headers = recipient.prepare(content, identity)
    line = recipient.line()
    try:
        answer = line.post(body, headers, _TIMEOUT)
    finally:
        line.close()
    if answer.fate is Fate.SENT and recipient.has_taken(content, answer):
        return ""
    return f"it answers {answer.in_words()}{answer.first_words()}, and not that it took the alert"


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after so many seconds, with no thread to count them."""

    def over(*_: object) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _event(alert: Alert, settings: Settings, identity: str) -> dict[str, Any]:
    """As healthchecks/plugin/sinks/sentry.py makes them."""
    origin = Origin()
    environment = settings.environment or os.environ.get("SENTRY_ENVIRONMENT") or origin.environment
    return {
        "event_id": identity,
        "timestamp": envelope.now(),
        "platform": "python",
        "level": "error",
        "logger": "healthchecks",
        "message": f"{alert.label}: {alert.message}",
        "fingerprint": [_CHECK, _TARGET, f"on {origin.host}"],
        "server_name": origin.host,
        "environment": environment,
        "release": origin.release_name(),
        "tags": {"check": _CHECK, "target": _TARGET, "host": origin.host, "status": "error", "action": "alert"},
        "contexts": {"check": {"message": alert.message, "output": alert.output}},
    }


def _document(alert: Alert, identity: str) -> dict[str, Any]:
    """As healthchecks/plugin/sinks/webhook.py makes them: docs/alerts.md shows the keys."""
    now = iso(datetime.now(UTC))
    return {
        "id": identity,
        "action": "alert",
        "title": f"{alert.label}: {alert.message}",
        "check": _CHECK,
        "target": _TARGET,
        "label": alert.label,
        "message": alert.message,
        "status": "error",
        "level": "error",
        "host": socket.gethostname(),
        "group": "",
        "time": now,
        "since": now,
        "failures": 1,
        "suppressed": 0,
        "data": {"output": alert.output},
    }
