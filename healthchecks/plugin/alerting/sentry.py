"""Alerts as Sentry's events, check-ins of its cron monitor, and issues resolved through its API."""

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from healthchecks.plugin.alerting.alert import Alert, EarlierResult
from healthchecks.plugin.alerting.policy import Action
from healthchecks.plugin.alerting.state import AlertState
from healthchecks.plugin.alerting.store import StateFile
from healthchecks.plugin.metric import Metric
from healthchecks.plugin.result import Attachment, LogLine, Result
from servermonitoring import clock
from servermonitoring.scrubbing import scrub
from servermonitoring.secret import Secret
from servermonitoring.values import iso, metric_with_limits

if TYPE_CHECKING:
    from pathlib import Path

    from requests import PreparedRequest

    from healthchecks.plugin.configuration.settings import MonitorSettings
    from servermonitoring.delivery.sentry import Sentry


_LONGEST = 8000  # characters of a traceback
_BREADCRUMBS = 50


def event(alert: Alert) -> dict[str, Any]:
    """Return Sentry's event for this alert.

    Its form is that of https://develop.sentry.dev/sdk/data-model/event-payloads/.
    """
    status = str(alert.result.status) if alert.result else "failed"
    tags = {
        "check": alert.key[0],
        "target": alert.key[1],
        "host": alert.host,
        "group": alert.result.group if alert.result else "",
        "severity": alert.level,
        "status": "logged" if alert.key[2] else status,
        "action": str(alert.action),
    }
    return {
        "event_id": alert.id,
        "timestamp": alert.time.timestamp(),
        "platform": "python",
        "level": alert.level,
        "logger": "healthchecks",
        "message": alert.title,
        "fingerprint": alert.fingerprint,
        "server_name": alert.host,
        "tags": {name: value for name, value in tags.items() if value},
        "contexts": {"check": _check(alert), "history": _history(alert)},
        "breadcrumbs": {"values": [_breadcrumb(line) for line in _log(alert.result)]},
    }


def attachments(alert: Alert) -> Sequence[Attachment]:
    """Return the attachments of a first event; later ones have none, since they are large and say the same."""
    return alert.result.attachments if alert.result and alert.action is Action.ALERT and not alert.key[2] else ()


def _check(alert: Alert) -> dict[str, Any]:
    texts = {"link": alert.link, "runbook": alert.runbook, "metrics": [*map(_metric, alert.metrics)]}
    context: dict[str, Any] = {"message": alert.message, **alert.data}
    context |= {name: text for name, text in texts.items() if text}
    result = alert.result
    if result:
        context |= {"duration": result.duration, "started": iso(result.started), "error": result.kind}
        context |= {"traceback": result.details[-_LONGEST:]} if result.details else {}
    return context


def _metric(metric: Metric) -> str:
    return metric_with_limits(metric.name, metric.value, metric.unit, metric.limit, metric.lower_limit)


def _history(alert: Alert) -> dict[str, Any]:
    return {
        "failing since": iso(alert.since),
        "failures in a row": alert.failures,
        "not sent since the last event": alert.suppressed,
        "last runs": [_earlier(each) for each in alert.earlier],
    }


def _earlier(result: EarlierResult) -> str:
    return f"{iso(result.time)} {result.status} {result.duration:.3g} s"


def _log(result: Result | None) -> list[LogLine]:
    return list(result.log)[-_BREADCRUMBS:] if result else []


def _breadcrumb(line: LogLine) -> dict[str, Any]:
    level = logging.getLevelName(line.level).lower()
    return {"timestamp": line.time, "level": level, "category": line.logger, "message": line.text, "type": "log"}


_NOT_FOUND = 404


@dataclass(frozen=True)
class Resolver:
    """Resolves issues by `[sentry] token`, `organization` and, so that fewer rights are needed, `project`."""

    url: str
    token: Secret
    organization: str
    project: str = ""

    def resolve(self, event: str, timeout: float) -> bool:
        """Return whether the event exists. Raise requests.RequestException; `timeout`: seconds for each request."""
        import requests

        with requests.Session() as session:
            session.auth = self._authorized  # else requests would take a password of ~/.netrc instead
            found = session.get(self._url_of(event), timeout=timeout, allow_redirects=False)
            if found.status_code == _NOT_FOUND:
                return False
            found.raise_for_status()
            document = found.json()
            issue = document.get("groupId") or document.get("groupID")
            url = f"{self._api}/organizations/{self.organization}/issues/{issue}/"
            session.put(url, json={"status": "resolved"}, timeout=timeout, allow_redirects=False).raise_for_status()
        return True

    def _authorized(self, request: "PreparedRequest") -> "PreparedRequest":
        request.headers["Authorization"] = f"Bearer {self.token.reveal()}"
        return request

    @property
    def _api(self) -> str:
        return f"{self.url.rstrip('/')}/api/0"

    def _url_of(self, event: str) -> str:
        if self.project:
            return f"{self._api}/projects/{self.organization}/{self.project}/events/{event}/"
        return f"{self._api}/organizations/{self.organization}/eventids/{event}/"


HOST = "{host}"

LONGEST = 50  # characters; Sentry's own limit
_DIGEST = 6  # characters that distinguish two long names of hosts that begin alike


def monitor_slug(monitor: str, host: str) -> str:
    """Return the monitor's slug, `{host}` replaced by this host's name in the characters that a slug may hold."""
    if HOST not in monitor:
        return monitor
    name = re.sub(r"[^a-z0-9_]+", "-", host.lower()).strip("-") or "host"
    room = LONGEST - len(monitor.replace(HOST, ""))
    if len(name) > room:
        digest = hashlib.sha256(host.encode(errors="replace")).hexdigest()[:_DIGEST]
        name = f"{name[: max(0, room - _DIGEST - 1)]}-{digest}"[-room:].strip("-")
    slug = monitor.replace(HOST, name)
    return f"host-{slug}"[:LONGEST] if slug.isdecimal() else slug  # Sentry takes none of digits only


_WEEK = 7 * 86400.0  # seconds after which an event that Sentry does not know will not arrive any more
_MINUTE = 60
_SUITE_RAN = (0, 1)  # pytest's statuses: whatever the checks say


class CheckIn:
    """Reports the start and the end of the run to Sentry's cron monitor; Sentry's tally has the failures."""

    def __init__(self, sentry: "Sentry", settings: "MonitorSettings") -> None:
        self._sentry, self._settings = sentry, settings
        self._slug = monitor_slug(settings.monitor, sentry.origin.host)
        self._id = ""

    def begin(self) -> None:
        self._id = self._send("in_progress", 0.0)

    def end(self, exitstatus: int, ends_at: float) -> None:
        self._send("ok" if exitstatus in _SUITE_RAN else "error", max(0.1, ends_at - clock.monotonic()))

    def summary(self) -> str:
        return ""

    def _send(self, status: str, timeout: float) -> str:
        settings = self._settings
        config = {
            "schedule": {"type": "crontab", "value": settings.schedule},
            "timezone": settings.timezone,
            "checkin_margin": round(settings.margin / _MINUTE),
            "max_runtime": round(settings.max_runtime / _MINUTE),
        }
        return self._sentry.check_in(self._slug, status, self._id, monitor_config=config, timeout=timeout)


class Resolutions:
    """Resolves the issues of checks that recovered; the next run tries again what fails now."""

    def __init__(self, resolver: "Resolver", directory: "Path") -> None:
        self._resolver, self._file = resolver, StateFile(directory)
        self._error = ""

    def begin(self) -> None:
        """Do nothing: issues are resolved at the end."""

    def end(self, exitstatus: int, ends_at: float) -> None:  # noqa: ARG002 - nothing depends on it
        state = self._file.read().state
        waiting = sorted(state.resolutions.items(), key=lambda each: each[1]) if state else []
        done = [event for event, since in waiting if self._is_done(event, since, ends_at)]
        try:
            if done:
                self._file.change(partial(_drop, events=done))
        except OSError as error:
            self._error = f"Sentry issues not resolved: {error}"

    def summary(self) -> str:
        return self._error

    def _is_done(self, event: str, since: float, ends_at: float) -> bool:
        if self._error or (rest := ends_at - clock.monotonic()) <= 0:
            return False
        try:
            return self._resolver.resolve(event, rest) or clock.time() - since > _WEEK
        except (OSError, ValueError) as error:  # requests' own are OSErrors
            self._error = scrub(f"Sentry issues not resolved: {error}")
            return False


def _drop(state: AlertState, events: list[str]) -> None:
    for event in events:
        state.resolutions.pop(event, None)
