"""What Sentry is told: an alert as an event that reads well in its list, and can be searched for."""

import logging
from collections.abc import Sequence
from typing import Any

from healthchecks.plugin.alerting.alert import Alert, Past
from healthchecks.plugin.alerting.policy import Action
from healthchecks.plugin.attachments import Attachment
from healthchecks.plugin.result import LogLine, Result
from servermonitoring.values import iso

_LONGEST = 8000  # characters of a traceback
_BREADCRUMBS = 50


def event(alert: Alert) -> dict[str, Any]:
    """Sentry's event for this alert.

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
    """With the first event only: they say the same the next time, and are large."""
    return alert.result.attachments if alert.result and alert.action is Action.ALERT and not alert.key[2] else ()


def _check(alert: Alert) -> dict[str, Any]:
    context: dict[str, Any] = {"message": alert.message, **alert.data}
    result = alert.result
    if result:
        context |= {"seconds": result.seconds, "started": iso(result.started), "error": result.kind}
        context |= {"traceback": result.details[-_LONGEST:]} if result.details else {}
    return context


def _history(alert: Alert) -> dict[str, Any]:
    return {
        "failing since": iso(alert.since),
        "failures in a row": alert.failures,
        "not told since the last event": alert.suppressed,
        "last runs": [_past(each) for each in alert.past],
    }


def _past(past: Past) -> str:
    return f"{iso(past.time)} {past.status} {past.seconds:.3g} s"


def _log(result: Result | None) -> list[LogLine]:
    return list(result.log)[-_BREADCRUMBS:] if result else []


def _breadcrumb(line: LogLine) -> dict[str, Any]:
    level = logging.getLevelName(line.level).lower()
    return {"timestamp": line.time, "level": level, "category": line.logger, "message": line.text, "type": "log"}
