"""The history: one local SQLite file, since the page and the alerts must work while the main database is down."""

from healthchecks.plugin.history.database import NAME, Unusable, connect_beside, is_damaged, look
from healthchecks.plugin.history.models import Change, Course, FinishedRun, Past, Point, RunRecord, Uptime, run_name
from healthchecks.plugin.history.recorder import Memory, keep, remember
from healthchecks.plugin.history.repair import renew
from healthchecks.plugin.history.store import NAMES, WELL, History, opened

__all__ = [
    "NAME",
    "NAMES",
    "WELL",
    "Change",
    "Course",
    "FinishedRun",
    "History",
    "Memory",
    "Past",
    "Point",
    "RunRecord",
    "Unusable",
    "Uptime",
    "connect_beside",
    "is_damaged",
    "keep",
    "look",
    "opened",
    "remember",
    "renew",
    "run_name",
]
