"""What was alerted: the incident of each failing key, the events of the last day, the issues to resolve.

As a JSON document it has a checksum, so that a flipped bit is a damaged document and never a wrong incident.
"""

import hashlib
import json
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from healthchecks.plugin.alerting.policy import Incident, Key

VERSION = 1
MOST_BYTES = 16_000_000  # of a document; 10,000 failures are some 4 MB
DAY = 24 * 3600.0
_MOST_INCIDENTS = 10_000
_MOST_EVENTS = 10_000
_MOST_RESOLUTIONS = 1000
_MOST_KINDS = 100  # of one failure: those beyond are alerted again
_UNSEEN = 400 * DAY  # seconds after which a check that never ran again is dropped
_LAST_TIME = 32_503_680_000.0  # the year 3000


@dataclass(frozen=True)
class LastKill:
    """The last kill of the watchdog that was sent."""

    time: float
    """Unix seconds."""
    digest: str
    """Of all that is known of it; empty if there was none before that time."""


@dataclass
class AlertState:
    """Times are unix seconds."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """Distinguishes this state from one that was lost: a new one must not use its names again."""
    saves: int = 0
    """How often it was saved: names a failure that begins now, the same if a killed run is repeated."""
    incidents: dict[Key, Incident] = field(default_factory=dict)
    last_seen: dict[Key, float] = field(default_factory=dict)
    """When each incident last changed."""
    events: list[tuple[float, Key]] = field(default_factory=list)
    """The events of the last 24 hours."""
    resolutions: dict[str, float] = field(default_factory=dict)
    """Events whose issue is still to be resolved, with when their checks recovered."""
    last_kill: LastKill | None = None

    @property
    def episode(self) -> str:
        """Names a failure that begins now."""
        return f"{self.id}/{self.saves}"

    def sent_today(self, now: float) -> list[Key]:
        """Return the keys of the events of the last 24 hours, one for each event."""
        return [key for time, key in self.events if now - DAY < time <= now]

    def change(self, changes: Mapping[Key, Incident | None], sent: Iterable[Key], now: float) -> None:
        """Store the changes (None: drop the incident) and the events that were sent."""
        for key, incident in changes.items():
            self.incidents.pop(key, None)
            self.last_seen.pop(key, None)
            if incident is not None:
                self.incidents[key], self.last_seen[key] = incident, now
        self.events += [(now, key) for key in sent]
        self._bound(now)

    def halve(self) -> None:
        """Drop the older half of everything."""
        incidents, events = (len(each) // 2 for each in (self.incidents, self.events))
        newest = sorted(self.last_seen, key=lambda key: self.last_seen[key])[-incidents:] if incidents else []
        self.last_seen = {key: self.last_seen[key] for key in newest}
        self.incidents = {key: self.incidents[key] for key in newest}
        self.events = self.events[-events:] if events else []
        self.resolutions = {}

    def _bound(self, now: float) -> None:
        """Drop what is old, or too much; times in the future, from a clock that was ahead, become `now`."""
        self.last_seen = {key: min(time, now) for key, time in self.last_seen.items()}
        newest = sorted(self.last_seen, key=lambda key: self.last_seen[key])[-_MOST_INCIDENTS:]
        self.last_seen = {key: self.last_seen[key] for key in newest if now - self.last_seen[key] < _UNSEEN}
        self.incidents = {key: self.incidents[key] for key in self.last_seen}
        self.events = [(time, key) for time, key in self.events if now - DAY < time <= now][-_MOST_EVENTS:]
        waiting = [(event, min(since, now)) for event, since in self.resolutions.items()]
        self.resolutions = dict(waiting[-_MOST_RESOLUTIONS:])


def encoded(state: AlertState) -> str:
    """Return a JSON document of MOST_BYTES at most: the newest incidents, where all are too many."""
    text = _encoded(state)
    while len(text) > MOST_BYTES:
        state.halve()
        text = _encoded(state)
    return text


def _encoded(state: AlertState) -> str:
    content = {
        "id": state.id,
        "saves": state.saves,
        "incidents": [_document(key, incident, state.last_seen[key]) for key, incident in state.incidents.items()],
        "events": [[time, *key] for time, key in state.events],
        "resolutions": state.resolutions,
        "last_kill": state.last_kill and [state.last_kill.time, state.last_kill.digest],
    }
    return json.dumps({"version": VERSION, "sha256": _digest(content), "state": content})


def decoded(text: bytes) -> AlertState:
    """Return the state in a document. Raise whatever one raises that is not as `encoded` made it."""
    document = json.loads(text)
    if document["version"] != VERSION:
        raise ValueError(f"it has version {str(document['version'])[:20]}")
    content = document["state"]
    if document["sha256"] != _digest(content):
        raise ValueError("its checksum is wrong")
    return state_of(content)


def state_of(content: Mapping[str, Any]) -> AlertState:
    """Return the state from texts and numbers of any origin. Raise KeyError, TypeError, ValueError for wrong ones."""
    incidents = {_key(each["key"]): each for each in content["incidents"]}
    return AlertState(
        id=_text(content["id"]),
        saves=_count(content["saves"]),
        incidents={key: _incident(each) for key, each in incidents.items()},
        last_seen={key: _time(each["last_seen"]) for key, each in incidents.items()},
        events=[(_time(time), _key(key)) for time, *key in content["events"]],
        resolutions={_text(event): _time(since) for event, since in content["resolutions"].items()},
        last_kill=_last_kill(content.get("last_kill")),  # an older file has none
    )


def _document(key: Key, incident: Incident, last_seen: float) -> dict[str, Any]:
    return {"key": key, "last_seen": last_seen, **asdict(incident), "kinds": sorted(incident.kinds)[:_MOST_KINDS]}


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _incident(document: Mapping[str, Any]) -> Incident:
    return Incident(
        since=_time(document["since"]),
        episode=_text(document["episode"]),
        failures=_count(document["failures"]),
        successes=_count(document.get("successes", 0)),  # an older history table has none
        alerted_at=None if document["alerted_at"] is None else _time(document["alerted_at"]),
        reminders=_count(document["reminders"]),
        kinds=frozenset(_text(each) for each in document["kinds"]),
        suppressed=_count(document["suppressed"]),
        event=_text(document["event"]),
        was_silenced=document.get("was_silenced") is True,  # an older file has none
    )


def _last_kill(value: Any) -> LastKill | None:
    if value is None:
        return None
    time, digest = value
    return LastKill(_time(time), _text(digest))


def _key(value: Iterable[object]) -> Key:
    check, target, topic = (_text(each) for each in value)
    return check, target, topic


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{str(value)[:40]!r} is no time")
    return min(max(0.0, float(value)), _LAST_TIME)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{str(value)[:40]!r} is no count")
    return value
