"""What was told, in tables of its own in the history's file."""

# ruff: noqa: S608 - statements are made of our own names only
import json
import secrets
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from healthchecks.plugin.alerting.alert import Past
from healthchecks.plugin.alerting.policy import Action, Key, Memory
from healthchecks.plugin.sinks.history import WELL, History

_DAY = 24 * 3600.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (name TEXT NOT NULL, target TEXT NOT NULL, topic TEXT NOT NULL,
    since REAL NOT NULL, episode TEXT NOT NULL, failures INTEGER NOT NULL, told REAL, reminders INTEGER NOT NULL,
    kinds TEXT NOT NULL, suppressed INTEGER NOT NULL, event TEXT NOT NULL,
    PRIMARY KEY (name, target, topic)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts_sent (time REAL NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL,
    topic TEXT NOT NULL, action TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS alerts_sent_by_time ON alerts_sent (time);
CREATE TABLE IF NOT EXISTS alerts_epoch (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS resolutions (event TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
"""
_RESULTS = "FROM results WHERE check_id = (SELECT id FROM checks WHERE name = ? AND target = ?)"
_PAST = 10  # runs
_COLUMNS = "name, target, topic, since, episode, failures, told, reminders, kinds, suppressed, event"


class Memories:
    """The alerts' state in an open history. Every method raises sqlite3.Error."""

    def __init__(self, history: History) -> None:
        self._history, self._database = history, history.connection
        self._database.executescript(_SCHEMA)
        self._epoch = self._read_epoch()

    def load(self) -> dict[Key, Memory]:
        """All that fails now, and was not well since."""
        with closing(self._database.execute(f"SELECT {_COLUMNS} FROM alerts")) as rows:
            return {row[:3]: _memory(row[3:]) for row in rows}

    def save(self, changed: Mapping[Key, Memory | None], sent: Mapping[Key, Action], now: float, days: int) -> None:
        """Keep what changed (None: forget it) and what was sent, whole or not at all."""
        with self._database as database:
            database.executemany(
                "DELETE FROM alerts WHERE (name, target, topic) = (?, ?, ?)",
                [key for key, memory in changed.items() if memory is None],
            )
            marks = ", ".join("?" * 11)
            database.executemany(
                f"INSERT OR REPLACE INTO alerts ({_COLUMNS}) VALUES ({marks})",
                [(*key, *_row(memory)) for key, memory in changed.items() if memory is not None],
            )
            database.executemany(
                "INSERT INTO alerts_sent VALUES (?, ?, ?, ?, ?)", [(now, *key, action) for key, action in sent.items()]
            )
            database.execute("DELETE FROM alerts_sent WHERE time < ? OR time > ?", (now - days * _DAY, now + _DAY))

    def sent_today(self, now: float) -> list[Key]:
        """The keys of what was sent in the last 24 hours, one for each event."""
        query = "SELECT name, target, topic FROM alerts_sent WHERE time > ? AND time <= ?"
        return list(self._database.execute(query, (now - _DAY, now)))

    def episode(self, key: Key) -> str:
        """Names a failure that begins now: by what was sent of the key before, and by when it was last well."""
        sent = "SELECT max(time) FROM alerts_sent WHERE (name, target, topic) = (?, ?, ?)"
        well = f"SELECT time {_RESULTS} AND status IN (?, ?) ORDER BY time DESC LIMIT 1"
        last_sent = self._database.execute(sent, key).fetchone()[0]
        last_well = self._database.execute(well, (*key[:2], *WELL)).fetchone()
        return f"{self._epoch}/{last_sent or 0}/{last_well[0] if last_well else 0}"

    def past(self, key: Key) -> list[Past]:
        """The last runs of the check before this one, newest first."""
        return [Past(each.moment, each.status, each.seconds) for each in self._history.recent(key[:2], _PAST)]

    def resolutions(self) -> list[tuple[str, float]]:
        """Events whose issue is still to be resolved, with when their checks recovered."""
        return list(self._database.execute("SELECT event, since FROM resolutions ORDER BY since"))

    def change_resolutions(self, added: Mapping[str, float], done: list[str]) -> None:
        with self._database as database:
            database.executemany("INSERT OR REPLACE INTO resolutions VALUES (?, ?)", added.items())
            database.executemany("DELETE FROM resolutions WHERE event = ?", [(event,) for event in done])

    def _read_epoch(self) -> str:
        """Tells this file from one that was lost: what begins anew must not take up its names."""
        with self._database as database:
            row = database.execute("SELECT id FROM alerts_epoch").fetchone()
            if row is None:
                database.execute("INSERT INTO alerts_epoch VALUES (?)", (secrets.token_hex(8),))
        return row[0] if row else self._read_epoch()


def _memory(row: tuple[Any, ...]) -> Memory:
    since, episode, failures, told, reminders, kinds, suppressed, event = row
    return Memory(since, episode, failures, told, reminders, frozenset(json.loads(kinds)), suppressed, event)


def _row(memory: Memory) -> tuple[object, ...]:
    told = memory.failures, memory.told, memory.reminders, json.dumps(sorted(memory.kinds))
    return memory.since, memory.episode, *told, memory.suppressed, memory.event
