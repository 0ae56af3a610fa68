"""Alerts of the scheduled command: sent directly, without spool, thread, temporary file or sentry_sdk."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from servermonitoring.delivery.alert_filter import SUITE
from servermonitoring.delivery.attempt import DeliveryOutcome, NoResponseError, UnreachableError
from servermonitoring.delivery.dsn import Dsn
from servermonitoring.delivery.notify import message_of
from servermonitoring.delivery.notify_process import NotifyConnection
from servermonitoring.delivery.notify_url import NotifyUrl
from servermonitoring.delivery.sentry import Origin, SentryDestination, timestamp
from servermonitoring.delivery.webhook import WebhookDestination
from servermonitoring.scheduled_run.settings import DirectAlertSettings
from servermonitoring.scrubbing import scrubbed
from servermonitoring.values import in_words, iso

if TYPE_CHECKING:
    from servermonitoring.delivery.attempt import Destination

_TIMEOUT = 10.0  # seconds for each step of a delivery
_LIMIT = 30.0  # seconds for a whole delivery
_LIMIT_OF_SERVICES = 60.0  # seconds for all that [alerts] notify names
_AT_ONCE = 8  # of them
_CHECK, _TARGET = "suite", "run"  # as suite[history], suite[page] …


@dataclass(frozen=True)
class FaultAlert:
    """The fault of a run and the end of its output; or, with `since`, that the command works again."""

    message: str
    output: str
    since: float | None = None
    """When the fault began that is over, in unix seconds; None for a fault."""

    @classmethod
    def of_recovery(cls, since: float, now: float) -> "FaultAlert":
        return cls(f"recovered after {in_words(max(0, round(now - since)))}", "", min(since, now))

    @property
    def is_recovery(self) -> bool:
        return self.since is not None

    @property
    def title(self) -> str:
        return f"{self.label}{' ' if self.is_recovery else ': '}{self.message}"

    @property
    def label(self) -> str:
        return f"{_CHECK}[{_TARGET}]"


def send(alert: FaultAlert, settings: DirectAlertSettings) -> list[tuple[str, str]]:
    """Send an alert to all channels that are configured and take it. Return each with its error, "" for none."""
    tried = [
        (name, error)
        for name, deliver in (("Sentry", _to_sentry), ("the webhook", _to_webhook))
        if (error := _attempt(deliver, alert, settings)) is not None
    ]
    urls, wrong = settings.notify
    takers = [each for each in urls if each.only.takes(SUITE)]
    return [*tried, *(("[alerts] notify", error) for error in wrong), *_to_services(takers, alert, settings)]


def _to_services(urls: list[NotifyUrl], alert: FaultAlert, settings: DirectAlertSettings) -> Iterator[tuple[str, str]]:
    """Send to the services, a few at once, a process for each; yield each with its error, "" for none."""
    message = message_of(json.dumps(scrubbed(_document(alert, settings, os.urandom(16).hex()))).encode())
    ends_at = time.monotonic() + _LIMIT_OF_SERVICES
    for start in range(0, len(urls), _AT_ONCE):
        connections = [(each, NotifyConnection(each.reveal())) for each in urls[start : start + _AT_ONCE]]
        try:
            started = [(url, connection, _handed_over(connection, message)) for url, connection in connections]
            for url, connection, error in started:
                yield f"{url.service} ({url.place})", error or _answered(connection, ends_at)
        finally:
            for _, connection in connections:
                connection.close()


def _handed_over(connection: NotifyConnection, message: bytes) -> str:
    """Hand the message over; return what went wrong."""
    try:
        connection.send(message)
    except UnreachableError as error:
        return str(error)
    return ""


def _answered(connection: NotifyConnection, ends_at: float) -> str:
    """Return what went wrong; "" for nothing."""
    try:
        response = connection.receive(ends_at)
    except (UnreachableError, NoResponseError) as error:
        return str(error)
    is_sent = response.outcome is DeliveryOutcome.SENT
    return "" if is_sent else f"alert not confirmed, response {response.in_words()}{response.first_words()}"


def ping_failure(text: str, settings: DirectAlertSettings, key: str) -> str | None:
    """Report to the service of `[heartbeat]` that a run failed; return the error, "" for none.

    `key` has its URL. None: there is no service, or it knows no failures.
    """
    from servermonitoring.delivery.heartbeat import Ping, PingRequest, PingSignal

    try:
        with _limited(_LIMIT):
            service = settings.heartbeat(key)
            if service is None or not service.expects(PingSignal.FAILURE):
                return None
            return PingRequest(service, Ping(PingSignal.FAILURE, f"{socket.gethostname()}: {text}")).send()
    except (OSError, ValueError) as error:
        return str(error)


def _attempt(
    deliver: Callable[[FaultAlert, DirectAlertSettings], str | None], alert: FaultAlert, settings: DirectAlertSettings
) -> str | None:
    try:
        with _limited(_LIMIT):
            return deliver(alert, settings)
    except (OSError, ValueError, UnreachableError, NoResponseError) as error:
        return str(error)


def _to_sentry(alert: FaultAlert, settings: DirectAlertSettings) -> str | None:
    if alert.is_recovery or not settings.sentry_only.takes(SUITE):  # in Sentry the event of one would reopen the issue
        return None
    if not (text := settings.dsn):
        return None
    identity = os.urandom(16).hex()
    event = json.dumps(scrubbed(_event(alert, settings, identity))).encode()
    headers = {"event_id": identity}, {"type": "event", "length": len(event)}
    content = b"\n".join([*(json.dumps(each).encode() for each in headers), event, b""])
    return _post(SentryDestination(Dsn.parse(text)), content, identity)


def _to_webhook(alert: FaultAlert, settings: DirectAlertSettings) -> str | None:
    if not settings.webhook_only.takes(SUITE) or not (url := settings.webhook):
        return None
    identity = os.urandom(16).hex()
    destination = WebhookDestination(url, form=settings.webhook_format)
    return _post(destination, json.dumps(scrubbed(_document(alert, settings, identity))).encode(), identity)


def _post(destination: "Destination", content: bytes, identity: str) -> str:
    """Return what went wrong; "" for nothing."""
    body, headers = destination.prepare(content, identity)
    connection = destination.connection()
    try:
        response = connection.post(body, headers, _TIMEOUT)
    finally:
        connection.close()
    if response.outcome is DeliveryOutcome.SENT and destination.is_confirmed(content, response):
        return ""
    return f"alert not confirmed, response {response.in_words()}{response.first_words()}"


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after `seconds`, without a thread."""

    def over(*_: object) -> None:
        raise TimeoutError(f"no response within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _event(alert: FaultAlert, settings: DirectAlertSettings, identity: str) -> dict[str, Any]:
    """Return the event, in the form of healthchecks/plugin/alerting/sentry.py."""
    origin = Origin()
    context = {"message": alert.message, "output": alert.output} | ({"link": settings.page} if settings.page else {})
    environment = settings.environment or os.environ.get("SENTRY_ENVIRONMENT") or origin.environment
    return {
        "event_id": identity,
        "timestamp": timestamp(),
        "platform": "python",
        "level": "error",
        "logger": "healthchecks",
        "message": alert.title,
        "fingerprint": [_CHECK, _TARGET, f"on {origin.host}"],
        "server_name": origin.host,
        "environment": environment,
        "release": origin.release_name(),
        "tags": {"check": _CHECK, "target": _TARGET, "host": origin.host, "status": "error", "action": "alert"},
        "contexts": {"check": context},
    }


def _document(alert: FaultAlert, settings: DirectAlertSettings, identity: str) -> dict[str, Any]:
    """Return the document, in the form of healthchecks/plugin/alerting/channels.py; docs/alerts.md shows the keys."""
    now = datetime.now(UTC)
    since = now if alert.since is None else datetime.fromtimestamp(alert.since, UTC)
    return {
        "id": identity,
        "action": "recovered" if alert.is_recovery else "alert",
        "title": alert.title,
        "check": _CHECK,
        "target": _TARGET,
        "label": alert.label,
        "message": alert.message,
        "status": "ok" if alert.is_recovery else "error",
        "level": "info" if alert.is_recovery else "error",
        "host": socket.gethostname(),
        "group": "",
        "time": iso(now),
        "since": iso(since),
        "failures": 1,
        "suppressed": 0,
        "metrics": [],
        "link": settings.page,
        "runbook": "",
        "data": {"output": alert.output} if alert.output else {},
    }
