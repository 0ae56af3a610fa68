"""What was alerted: what is remembered of each failure, what was sent in the last day, which issues are to resolve.

As a JSON document it has a checksum, so that a flipped bit is a damaged document and never a wrong memory.
"""

import hashlib
import json
import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from healthchecks.plugin.alerting.policy import Key, Memory

VERSION = 1
MOST_BYTES = 16_000_000  # of a document; 10,000 failures are some 4 MB
DAY = 24 * 3600.0
_MOST_MEMORIES = 10_000
_MOST_SENT = 10_000
_MOST_RESOLUTIONS = 1000
_MOST_KINDS = 100  # of one failure: those beyond are alerted again
_UNSEEN = 400 * DAY  # seconds after which a check that never came again is forgotten
_LAST_MOMENT = 32_503_680_000.0  # the year 3000


@dataclass
class AlertState:
    """Times are unix seconds."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    """Tells this state from one that was lost: what begins anew must not take up its names."""
    saves: int = 0
    """How often it was saved: names a failure that begins now, the same if a killed run is repeated."""
    memories: dict[Key, Memory] = field(default_factory=dict)
    seen: dict[Key, float] = field(default_factory=dict)
    """When each memory was last changed."""
    sent: list[tuple[float, Key]] = field(default_factory=list)
    """The events of the last 24 hours."""
    resolutions: dict[str, float] = field(default_factory=dict)
    """Events whose issue is still to be resolved, with when their checks recovered."""

    @property
    def episode(self) -> str:
        """Names a failure that begins now."""
        return f"{self.id}/{self.saves}"

    def sent_today(self, now: float) -> list[Key]:
        """The keys of what was sent in the last 24 hours, one for each event."""
        return [key for time, key in self.sent if now - DAY < time <= now]

    def change(self, changed: Mapping[Key, Memory | None], sent: Iterable[Key], now: float) -> None:
        """Keep what changed (None: forget it) and what was sent."""
        for key, memory in changed.items():
            self.memories.pop(key, None)
            self.seen.pop(key, None)
            if memory is not None:
                self.memories[key], self.seen[key] = memory, now
        self.sent += [(now, key) for key in sent]
        self._bound(now)

    def halve(self) -> None:
        """Forget the older half of everything."""
        memories, sent = (len(each) // 2 for each in (self.memories, self.sent))
        kept = sorted(self.seen, key=lambda key: self.seen[key])[-memories:] if memories else []
        self.seen = {key: self.seen[key] for key in kept}
        self.memories = {key: self.memories[key] for key in kept}
        self.sent = self.sent[-sent:] if sent else []
        self.resolutions = {}

    def _bound(self, now: float) -> None:
        """Forget what is old, or too much; moments of the future, from a clock that was ahead, are taken for now."""
        self.seen = {key: min(time, now) for key, time in self.seen.items()}
        kept = sorted(self.seen, key=lambda key: self.seen[key])[-_MOST_MEMORIES:]
        self.seen = {key: self.seen[key] for key in kept if now - self.seen[key] < _UNSEEN}
        self.memories = {key: self.memories[key] for key in self.seen}
        self.sent = [(time, key) for time, key in self.sent if now - DAY < time <= now][-_MOST_SENT:]
        waiting = [(event, min(since, now)) for event, since in self.resolutions.items()]
        self.resolutions = dict(waiting[-_MOST_RESOLUTIONS:])


def encoded(state: AlertState) -> str:
    """As a JSON document of MOST_BYTES at most: what was seen last, where all is too much."""
    text = _encoded(state)
    while len(text) > MOST_BYTES:
        state.halve()
        text = _encoded(state)
    return text


def _encoded(state: AlertState) -> str:
    content = {
        "id": state.id,
        "saves": state.saves,
        "memories": [_document(key, memory, state.seen[key]) for key, memory in state.memories.items()],
        "sent": [[time, *key] for time, key in state.sent],
        "resolutions": state.resolutions,
    }
    return json.dumps({"version": VERSION, "sha256": _digest(content), "state": content})


def decoded(text: bytes) -> AlertState:
    """Raise whatever a document raises that is not as `encoded` made it."""
    document = json.loads(text)
    if document["version"] != VERSION:
        raise ValueError(f"it is of version {str(document['version'])[:20]}")
    content = document["state"]
    if document["sha256"] != _digest(content):
        raise ValueError("its checksum is wrong")
    return state_of(content)


def state_of(content: Mapping[str, Any]) -> AlertState:
    """From texts and numbers of any origin. Raise KeyError, TypeError, ValueError for wrong ones."""
    memories = {_key(each["key"]): each for each in content["memories"]}
    return AlertState(
        id=_text(content["id"]),
        saves=_count(content["saves"]),
        memories={key: _memory(each) for key, each in memories.items()},
        seen={key: _time(each["seen"]) for key, each in memories.items()},
        sent=[(_time(time), _key(key)) for time, *key in content["sent"]],
        resolutions={_text(event): _time(since) for event, since in content["resolutions"].items()},
    )


def _document(key: Key, memory: Memory, seen: float) -> dict[str, Any]:
    return {"key": key, "seen": seen, **asdict(memory), "kinds": sorted(memory.kinds)[:_MOST_KINDS]}


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _memory(document: Mapping[str, Any]) -> Memory:
    return Memory(
        since=_time(document["since"]),
        episode=_text(document["episode"]),
        failures=_count(document["failures"]),
        successes=_count(document.get("successes", 0)),  # none in the history, from which a state may be taken over
        told=None if document["told"] is None else _time(document["told"]),
        reminders=_count(document["reminders"]),
        kinds=frozenset(_text(each) for each in document["kinds"]),
        suppressed=_count(document["suppressed"]),
        event=_text(document["event"]),
    )


def _key(value: Iterable[object]) -> Key:
    check, target, topic = (_text(each) for each in value)
    return check, target, topic


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{str(value)[:40]!r} is no moment")
    return min(max(0.0, float(value)), _LAST_MOMENT)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{str(value)[:40]!r} is no count")
    return value
