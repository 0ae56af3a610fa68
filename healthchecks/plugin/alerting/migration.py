"""What was alerted, from the tables in the history where it was once kept: read before there is a file of its own."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from healthchecks.plugin.alerting.alert_state import AlertState, state_of
from healthchecks.plugin.alerting.policy import LONGEST_KIND
from healthchecks.plugin.sinks.history.database import NAME, connect_unchanged

_COLUMNS = "name, target, topic, since, episode, failures, told, reminders, kinds, suppressed, event"
_FIELDS = ("since", "episode", "failures", "told", "reminders", "kinds", "suppressed", "event")
_MOST = 10_000  # rows of a table


def from_history(directory: Path) -> AlertState:
    """A new state with what the history knows: nothing, where it cannot be read, of which the history tells itself."""
    try:
        with closing(connect_unchanged(directory / NAME)) as database:
            if _has_tables(database):
                return state_of(_content(database))
    except Exception:  # noqa: BLE001, S110 - as for the file itself: whatever it is, it cannot be read
        pass
    return AlertState()


def _has_tables(database: sqlite3.Connection) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('alerts', 'alerts_sent', 'resolutions')"
    return bool(database.execute(query).fetchone()[0] == 3)  # noqa: PLR2004 - all of them


def _content(database: sqlite3.Connection) -> dict[str, Any]:
    memories = database.execute(f"SELECT {_COLUMNS} FROM alerts LIMIT {_MOST}")  # noqa: S608 - our own names
    sent = "SELECT time, name, target, topic FROM alerts_sent ORDER BY time DESC LIMIT ?"
    return {
        "id": AlertState().id,
        "saves": 0,
        "memories": [_memory(row) for row in memories],
        "sent": database.execute(sent, (_MOST,)).fetchall()[::-1],
        "resolutions": dict(database.execute("SELECT event, since FROM resolutions")),
    }


def _memory(row: tuple[Any, ...]) -> dict[str, Any]:
    memory = dict(zip(_FIELDS, row[3:], strict=True))
    seen = memory["since"] if memory["told"] is None else memory["told"]
    return {
        "key": row[:3],
        "seen": seen,
        **memory,
        "kinds": [each[:LONGEST_KIND] for each in json.loads(memory["kinds"])],
    }
