"""What the webhook is told: an alert as one JSON document, for those without Sentry."""

from typing import Any

from healthchecks.plugin.alerting.alert import Alert
from servermonitoring.values import iso


def document(alert: Alert) -> dict[str, Any]:
    """As docs/alerts.md shows it; keys are added, never renamed."""
    check, target, topic = alert.key
    result = alert.result
    status = "logged" if topic else str(result.status) if result else "failed"
    return {
        "id": alert.id,
        "action": str(alert.action),
        "title": alert.title,
        "check": check,
        "target": target,
        "label": alert.label,
        "message": alert.message,
        "status": status,
        "level": alert.level,
        "host": alert.host,
        "group": result.group if result else "",
        "time": iso(alert.time),
        "since": iso(alert.since),
        "failures": alert.failures,
        "suppressed": alert.suppressed,
        "data": dict(alert.data),
    }
