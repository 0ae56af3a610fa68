"""Alerts of the scheduled command: sent directly, without spool, thread, temporary file or sentry_sdk.

Their settings are read also where the configuration file is wrong elsewhere.
"""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import stat
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring import configuration, state_directory
from servermonitoring.configuration import ConfigurationError
from servermonitoring.delivery import notify_url
from servermonitoring.delivery.attempt import DeliveryOutcome, NoResponseError, UnreachableError
from servermonitoring.delivery.dsn import HEALTHCHECKS, Dsn, in_force
from servermonitoring.delivery.notify import message_of
from servermonitoring.delivery.notify_process import NotifyConnection
from servermonitoring.delivery.notify_url import NotifyUrl
from servermonitoring.delivery.sentry import Origin, SentryDestination, timestamp
from servermonitoring.delivery.text import WebhookFormat
from servermonitoring.delivery.webhook import WebhookDestination
from servermonitoring.files import read_regular, write_whole
from servermonitoring.scrubbing import scrubbed
from servermonitoring.secret import Secret
from servermonitoring.values import in_words, iso

if TYPE_CHECKING:
    from servermonitoring.delivery.attempt import Destination
    from servermonitoring.delivery.heartbeat import PingService

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


_TABLES = ("sentry", "alerts", "heartbeat", "state", "dashboard")
_MOST_READ = 1_000_000  # bytes that are read of a file that is not TOML


class DirectAlertSettings:
    """`[sentry]`, `[alerts]`, `[heartbeat]`, `[state]`, `[dashboard]`, as far as they can be read.

    A wrong file raises nothing.
    """

    def __init__(self) -> None:
        self.path = configuration.find()
        self._tables = _read_tables(self.path) if self.path else {}

    @property
    def dsn(self) -> str:
        """The DSN of the suite, or "". Raises ValueError for a secret file that cannot be read."""
        return in_force(HEALTHCHECKS, lambda: self._secret("sentry", "dsn"))

    @property
    def webhook(self) -> str:
        """The URL, or "". Raises ValueError for a secret file that cannot be read."""
        return self._secret("alerts", "webhook")

    @property
    def webhook_format(self) -> WebhookFormat:
        return "slack" if self._text("alerts", "webhook_format") == "slack" else "json"

    @property
    def notify(self) -> tuple[list[NotifyUrl], list[str]]:
        """The URLs of services, and what is wrong with others."""
        alerts = self._tables.get("alerts")
        return notify_url.read(alerts.get("notify", []) if isinstance(alerts, dict) else [], self.path)

    @property
    def heartbeat(self) -> "PingService | None":
        """The service of `[heartbeat]`. Raises ValueError for a wrong URL, or a secret file that cannot be read."""
        from servermonitoring.delivery.heartbeat import PingFormat, PingService

        if not (url := self._secret("heartbeat", "url")):
            return None
        name = self._text("heartbeat", "format")
        return PingService(url, PingFormat(name) if name in [*PingFormat] else PingFormat.of_url(url))

    @property
    def environment(self) -> str:
        return self._text("sentry", "environment")

    @property
    def page(self) -> str:
        """The URL of the page, or ""."""
        return self._text("dashboard", "url")

    @property
    def state_directory(self) -> Path:
        text = self._text("state", "directory")
        return state_directory.location(str(configuration.relative_to_file(self.path, text)) if text else None)

    def _text(self, table: str, key: str) -> str:
        keys = self._tables.get(table)
        value = keys.get(key) if isinstance(keys, dict) else None
        return value if isinstance(value, str) else ""

    def _secret(self, table: str, key: str) -> str:
        text = self._text(table, key)
        return Secret.load(text, self.path).reveal() if text else ""


def _read_tables(path: Path) -> dict[str, Any]:
    try:
        return configuration.read(path)[0]
    except ConfigurationError:
        return configuration.with_additional_files(path, _rescued(path))[0]


def _rescued(path: Path) -> dict[str, Any]:
    """Return the tables that can be read one by one from a file that is not TOML as a whole."""
    try:
        text = read_regular(path, _MOST_READ, part="start").decode("utf-8-sig", errors="replace")
    except OSError:
        return {}
    found: dict[str, Any] = {}
    for part in re.split(r"^(?=\[)", text, flags=re.MULTILINE):
        with contextlib.suppress(ValueError, RecursionError):
            found |= {name: keys for name, keys in tomllib.loads(part).items() if name not in found}
    return {name: keys for name, keys in found.items() if name in _TABLES}


def send(alert: FaultAlert, settings: DirectAlertSettings) -> list[tuple[str, str]]:
    """Send an alert to all channels that are configured. Return each with its error, "" for none."""
    tried = [
        (name, error)
        for name, deliver in (("Sentry", _to_sentry), ("the webhook", _to_webhook))
        if (error := _attempt(deliver, alert, settings)) is not None
    ]
    urls, wrong = settings.notify
    return [*tried, *(("[alerts] notify", error) for error in wrong), *_to_services(urls, alert, settings)]


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


def ping_failure(text: str, settings: DirectAlertSettings) -> str | None:
    """Report to the service of `[heartbeat]` that a run failed; return the error, "" for none.

    None: there is no service, or it knows no failures.
    """
    from servermonitoring.delivery.heartbeat import Ping, PingRequest, PingSignal

    try:
        with _limited(_LIMIT):
            service = settings.heartbeat
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
    if alert.is_recovery or not (text := settings.dsn):  # in Sentry an event would reopen the issue
        return None
    identity = os.urandom(16).hex()
    event = json.dumps(scrubbed(_event(alert, settings, identity))).encode()
    headers = {"event_id": identity}, {"type": "event", "length": len(event)}
    content = b"\n".join([*(json.dumps(each).encode() for each in headers), event, b""])
    return _post(SentryDestination(Dsn.parse(text)), content, identity)


def _to_webhook(alert: FaultAlert, settings: DirectAlertSettings) -> str | None:
    if not (url := settings.webhook):
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


_HOUR, _DAY = 3600, 86400  # seconds
_MEMORY = Path("/dev/shm")  # noqa: S108 - where all disks are full there may still be room here
_LARGEST = 10_000  # bytes
_MOST = 20  # faults of one failure


class SentAlerts:
    """Alerts already sent for one command, kept in the state directory or, if it cannot be written, in memory."""

    def __init__(self, command: str, directory: Path) -> None:
        name = f"scheduled-{hashlib.sha256(command.encode(errors='replace')).hexdigest()[:12]}.json"
        self._places = (directory / name, _MEMORY / f"servermonitoring-{os.geteuid()}-{name}")

    def age(self, fault: str, now: float) -> float | None:
        """Return the seconds since the last alert; None if one is due."""
        kept = self._kept(now)
        if fault not in kept["faults"] or _stage(now - kept["since"]) > _stage(kept["sent"] - kept["since"]):
            return None
        return float(now - kept["sent"])

    def remember(self, fault: str, now: float) -> None:
        """Record that the fault is alerted now."""
        kept = self._kept(now)
        faults = [*(each for each in kept["faults"] if each != fault), fault][-_MOST:]
        text = json.dumps({"since": kept["since"], "sent": now, "faults": faults})
        for path in self._places:
            with contextlib.suppress(OSError):
                if path.parent == _MEMORY or path.parent.stat().st_uid == os.geteuid():
                    write_whole(path, text, durable=False)
                    return

    def forget(self, now: float) -> float | None:
        """Remove the record, since the command works again; return when the fault began, None if none was sent."""
        kept = self._kept(now)
        for path in self._places:
            with contextlib.suppress(OSError):
                path.unlink()
        return float(kept["since"]) if kept["faults"] else None

    def _kept(self, now: float) -> dict[str, Any]:
        found = [each for path in self._places for each in _read(path) if each["since"] <= each["sent"] <= now]
        return max(found, key=lambda each: float(each["sent"]), default={"since": now, "sent": now, "faults": []})


def _stage(age: float) -> int:
    """Return how many alerts a fault of this age (seconds) has had."""
    return 0 if age < _HOUR else 1 if age < 6 * _HOUR else 2 + int(age // _DAY)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the record of a file that only this user can write."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022:
                kept = json.loads(file.read(_LARGEST))
                yield {
                    "since": float(kept["since"]), "sent": float(kept["sent"]), "faults": [*map(str, kept["faults"])],
                }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
