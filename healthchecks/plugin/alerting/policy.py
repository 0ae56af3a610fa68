"""The alert policy, as pure functions of what is remembered, what was seen, and the time."""

import enum
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

REMINDERS = (3600.0, 6 * 3600.0)  # seconds after the first alert; then again every day
LONGEST_KIND = 200  # characters of a class of error
_DAY = 24 * 3600.0
Key = tuple[str, str, str]
"""Check, target, and what of it: empty for its verdict, "log", or the text of a message of its own."""


class Seen(enum.Enum):
    """What a run saw of a check."""

    WELL = "well"
    FAILING = "failing"
    UNKNOWN = "unknown"  # blocked, skipped: neither better nor worse than before


class Action(enum.StrEnum):
    """What becomes of it. Only ALERT, CHANGED and REMINDER are sent."""

    NONE = "nothing"
    WAIT = "wait"  # not yet failing often enough in a row
    MUTE = "mute"  # in maintenance
    QUIET = "quiet"  # told already, and no reminder is due
    ALERT = "alert"
    CHANGED = "changed"  # still failing, but in a way that was not told yet
    REMINDER = "reminder"
    RECOVERING = "recovering"  # passes after an alert, not yet often enough in a row
    RECOVERED = "recovered"  # after an alert: shown, and its issue resolved; never an event, which would reopen it

    @property
    def is_sent(self) -> bool:
        return self in (Action.ALERT, Action.CHANGED, Action.REMINDER)


@dataclass(frozen=True)
class Observation:
    """What a run says of one key."""

    key: Key
    seen: Seen
    kind: str = ""
    """The class of error: "failed ProbeTimeout"."""
    failure_threshold: int = 1
    """Failures in a row before an alert."""
    success_threshold: int = 1
    """Passing runs in a row after which an alerted failure is over."""
    muted: bool = False


@dataclass(frozen=True)
class Memory:
    """What is remembered of a key that fails, from its first failure to its recovery. Times: unix seconds."""

    since: float
    episode: str
    """Tells this failure from the one before, the same also when a run is repeated because it was killed."""
    failures: int = 0
    """Failing runs, this one included."""
    successes: int = 0
    """Passing runs in a row since the last failing one, too few to be a recovery."""
    told: float | None = None
    """When the first alert was sent."""
    reminders: int = 0
    """Reminders that were due so far, sent or missed."""
    kinds: frozenset[str] = frozenset()
    """Classes of error that were told."""
    suppressed: int = 0
    """Failures since the last event that were not told."""
    event: str = ""
    """The last event's id."""


def decide(memory: Memory | None, seen: Observation, now: float, episode: str = "") -> tuple[Action, Memory | None]:
    """What to do, and what to remember from now on (None: nothing); `episode` names a failure that begins now."""
    if seen.seen is Seen.UNKNOWN:
        return Action.NONE, memory
    if seen.seen is Seen.WELL:
        return _passed(memory, seen)
    memory = _not_of_the_future(memory, now) if memory else Memory(since=now, episode=episode)
    memory = replace(memory, failures=memory.failures + 1, successes=0)
    action = _action(memory, seen, now)
    return action, remembered(memory, seen.kind, action, now)


def _passed(memory: Memory | None, seen: Observation) -> tuple[Action, Memory | None]:
    """An alerted failure is over after enough passing runs in a row, one that was not alerted after the first."""
    if memory is None or memory.told is None:
        return Action.NONE, None
    if memory.successes + 1 < seen.success_threshold:
        return Action.RECOVERING, replace(memory, successes=memory.successes + 1)
    return Action.RECOVERED, None


def remembered(memory: Memory, kind: str, action: Action, now: float) -> Memory:
    """What is remembered once this action is taken."""
    if not action.is_sent:
        return replace(memory, suppressed=memory.suppressed + 1)
    told = now if memory.told is None else memory.told
    return replace(
        memory, told=told, reminders=_reminders_due(now - told), kinds=memory.kinds | {kind}, suppressed=0
    )  # fmt: skip


def kept_back(before: Memory | None, memory: Memory) -> Memory:
    """What is remembered when an event was due and is not sent: it stays due."""
    if before is None:
        return replace(memory, told=None, reminders=0, kinds=frozenset(), suppressed=1)
    told = before.told, before.reminders, before.kinds
    return replace(memory, told=told[0], reminders=told[1], kinds=told[2], suppressed=before.suppressed + 1)


def _action(memory: Memory, seen: Observation, now: float) -> Action:
    if seen.muted:
        return Action.MUTE
    if memory.failures < seen.failure_threshold:
        return Action.WAIT
    if memory.told is None:
        return Action.ALERT
    if seen.kind not in memory.kinds:
        return Action.CHANGED
    if _reminders_due(now - memory.told) > memory.reminders:
        return Action.REMINDER
    return Action.QUIET


def _reminders_due(elapsed: float) -> int:
    """How many were due within so many seconds after the first alert."""
    days = max(0.0, elapsed - REMINDERS[-1]) // _DAY
    return sum(elapsed >= each for each in REMINDERS) + int(days)


def _not_of_the_future(memory: Memory, now: float) -> Memory:
    """A clock that was ahead for a while must silence no reminder until the true time has caught up."""
    since, told = min(memory.since, now), memory.told
    if told is None:
        return replace(memory, since=since)
    told = min(told, now)
    return replace(memory, since=since, told=told, reminders=min(memory.reminders, _reminders_due(now - told)))


_ORDER = (Action.ALERT, Action.CHANGED, Action.REMINDER)


@dataclass(frozen=True)
class Plan:
    """Which of the due events are sent, which a summary tells of, and which the day's limit keeps back."""

    sent: Sequence[Key]
    summarized: Sequence[Key]
    kept_back: Sequence[Key]


def plan(due: Iterable[tuple[Key, Action]], sent_today: Collection[Key], *, max_per_run: int, max_per_day: int) -> Plan:
    """`sent_today` names the key of each event of the last 24 hours. A limit of 0 is none.

    New failures come first, each in the run's order. The day's limit never keeps back the first alert of a day
    about a key: every failure is told.
    """
    told_today = set(sent_today)
    ordered = sorted(due, key=lambda each: _ORDER.index(each[1]))
    sent: list[Key] = []
    kept_back: list[Key] = []
    for key, _ in ordered:
        full = max_per_day and len(sent_today) + len(sent) >= max_per_day and key in told_today
        (kept_back if full else sent).append(key)
    if not max_per_run or len(sent) <= max_per_run:
        return Plan(sent, (), kept_back)
    return Plan(sent[:max_per_run], sent[max_per_run:], kept_back)
