"""What the webhook is told: an alert as one JSON document, for those without Sentry."""

from datetime import UTC, datetime
from typing import Any

from healthchecks.plugin.alerting.alert import Alert


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
        "time": _iso(alert.time),
        "since": _iso(alert.since),
        "failures": alert.failures,
        "suppressed": alert.suppressed,
        "data": dict(alert.data),
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
