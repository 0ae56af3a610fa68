"""The history: one local SQLite file, since the page and the alerts must work while the main database is down."""

from healthchecks.plugin.history.database import (
    NAME,
    UnusableError,
    check_readable,
    connect_without_schema,
    is_damaged,
    renew,
)
from healthchecks.plugin.history.metrics import MetricHistory, MetricPoint, metric_points
from healthchecks.plugin.history.recorder import HistoryData, postpone, record
from healthchecks.plugin.history.store import (
    NAMES,
    PASSING,
    Change,
    CheckHistory,
    FinishedRun,
    History,
    Point,
    RunRecord,
    Streak,
    Uptime,
    opened,
    run_name,
)

__all__ = [
    "NAME",
    "NAMES",
    "PASSING",
    "Change",
    "CheckHistory",
    "FinishedRun",
    "History",
    "HistoryData",
    "MetricHistory",
    "MetricPoint",
    "Point",
    "RunRecord",
    "Streak",
    "UnusableError",
    "Uptime",
    "check_readable",
    "connect_without_schema",
    "is_damaged",
    "metric_points",
    "opened",
    "postpone",
    "record",
    "renew",
    "run_name",
]
