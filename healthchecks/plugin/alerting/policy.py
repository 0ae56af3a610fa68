"""The alert policy: pure functions of the stored incident, this run's observation and the time."""

import enum
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

REMINDERS = (3600.0, 6 * 3600.0)  # seconds after the first alert; then again every day
LONGEST_KIND = 200  # characters of a class of error
_DAY = 24 * 3600.0
Key = tuple[str, str, str]
"""Check, target, topic: empty for the check's result, "log", or the text of a message of its own."""


class Condition(enum.Enum):
    """What a run says of a key."""

    PASSING = "passing"
    FAILING = "failing"
    UNKNOWN = "unknown"  # blocked, skipped: no better and no worse than before


class Action(enum.StrEnum):
    """What the policy decides. ALERT, CHANGED and REMINDER are events; a recovery is sent, too, but not to Sentry."""

    NONE = "nothing"
    DEFERRED = "deferred"  # failing for fewer runs in a row than failure_threshold
    MUTED = "muted"  # in maintenance, or silenced
    SUPPRESSED = "suppressed"  # alerted before, and no reminder is due
    ALERT = "alert"
    CHANGED = "changed"  # still failing, with an error that was not alerted yet
    REMINDER = "reminder"
    RECOVERING = "recovering"  # passing after an alert, for fewer runs in a row than success_threshold
    RECOVERED = "recovered"  # after an alert: its issue in Sentry is resolved, where an event would reopen it

    @property
    def is_event(self) -> bool:
        """Whether it reports a failure: such events count for the limits, and every channel takes them."""
        return self in (Action.ALERT, Action.CHANGED, Action.REMINDER)


@dataclass(frozen=True)
class Observation:
    """What a run says of one key."""

    key: Key
    condition: Condition
    kind: str = ""
    """The class of error: "failed ProbeTimeout"."""
    failure_threshold: int = 1
    """Failures in a row before an alert."""
    success_threshold: int = 1
    """Passing runs in a row after which an alerted failure has recovered."""
    in_maintenance: bool = False
    is_silenced: bool = False


@dataclass(frozen=True)
class Incident:
    """What is stored of a failing key, from its first failure to its recovery. Times: unix seconds."""

    since: float
    episode: str
    """Distinguishes this failure from the one before; the same when a killed run is repeated."""
    failures: int = 0
    """Failing runs, this one included."""
    successes: int = 0
    """Passing runs in a row since the last failing one, too few for a recovery."""
    alerted_at: float | None = None
    """When the first alert was sent."""
    reminders: int = 0
    """Reminders that were due so far, sent or missed."""
    kinds: frozenset[str] = frozenset()
    """Classes of error that were alerted."""
    suppressed: int = 0
    """Failures since the last event for which none was sent."""
    event: str = ""
    """The last event's id."""
    was_silenced: bool = False
    """Whether the last failing run was silenced: the next one that is not sends an event."""


def decide(
    incident: Incident | None, observation: Observation, now: float, episode: str = ""
) -> tuple[Action, Incident | None]:
    """Return what to do, and what to store from now on (None: nothing); `episode` names a failure that begins now."""
    if observation.condition is Condition.UNKNOWN:
        return Action.NONE, incident
    if observation.condition is Condition.PASSING:
        return _passing(incident, observation)
    incident = _not_of_the_future(incident, now) if incident else Incident(since=now, episode=episode)
    incident = replace(incident, failures=incident.failures + 1, successes=0)
    action = _action(incident, observation, now)
    after_action = after(action, incident, observation.kind, now)
    return action, replace(after_action, was_silenced=_is_silenced(after_action, observation))


def _is_silenced(incident: Incident, observation: Observation) -> bool:
    """Return whether it is silenced: maintenance changes nothing then; what is due is sent when both have ended."""
    return observation.is_silenced or (incident.was_silenced and observation.in_maintenance)


def _passing(incident: Incident | None, observation: Observation) -> tuple[Action, Incident | None]:
    """Return what passing does: an alerted failure ends after enough runs in a row, another one after the first."""
    if incident is None or incident.alerted_at is None:
        return Action.NONE, None
    if incident.successes + 1 < observation.success_threshold:
        return Action.RECOVERING, replace(incident, successes=incident.successes + 1)
    return Action.RECOVERED, None


def after(action: Action, incident: Incident, kind: str, now: float) -> Incident:
    """Return what to store once this action is taken."""
    if not action.is_event:
        return replace(incident, suppressed=incident.suppressed + 1)
    alerted_at = now if incident.alerted_at is None else incident.alerted_at
    return replace(
        incident,
        alerted_at=alerted_at,
        reminders=_reminders_due(now - alerted_at),
        kinds=incident.kinds | {kind},
        suppressed=0,
    )


def keep_due(before: Incident | None, incident: Incident) -> Incident:
    """Return what to store when an event was due and is not sent: it stays due."""
    if before is None:
        return replace(incident, alerted_at=None, reminders=0, kinds=frozenset(), suppressed=1)
    return replace(
        incident,
        alerted_at=before.alerted_at,
        reminders=before.reminders,
        kinds=before.kinds,
        suppressed=before.suppressed + 1,
        was_silenced=before.was_silenced,
    )


def _action(incident: Incident, observation: Observation, now: float) -> Action:
    if observation.in_maintenance or observation.is_silenced:
        return Action.MUTED
    if incident.failures < observation.failure_threshold:
        return Action.DEFERRED
    if incident.alerted_at is None:
        return Action.ALERT
    if observation.kind not in incident.kinds:
        return Action.CHANGED
    if incident.was_silenced or _reminders_due(now - incident.alerted_at) > incident.reminders:
        return Action.REMINDER
    return Action.SUPPRESSED


def _reminders_due(elapsed: float) -> int:
    """Return how many were due within so many seconds after the first alert."""
    days = max(0.0, elapsed - REMINDERS[-1]) // _DAY
    return sum(elapsed >= each for each in REMINDERS) + int(days)


def _not_of_the_future(incident: Incident, now: float) -> Incident:
    """Return it without times of the future: a clock that was ahead must not suppress reminders until they come."""
    since, alerted_at = min(incident.since, now), incident.alerted_at
    if alerted_at is None:
        return replace(incident, since=since)
    alerted_at = min(alerted_at, now)
    reminders = min(incident.reminders, _reminders_due(now - alerted_at))
    return replace(incident, since=since, alerted_at=alerted_at, reminders=reminders)


_ORDER = (Action.ALERT, Action.CHANGED, Action.REMINDER)


@dataclass(frozen=True)
class Plan:
    """Which due events are sent, and which the daily limit suppresses."""

    to_send: Sequence[Key]
    to_suppress: Sequence[Key]


def plan(due: Iterable[tuple[Key, Action]], sent_today: Collection[Key], *, max_per_day: int) -> Plan:
    """Plan what is sent. `sent_today`: the key of each event of the last 24 hours. A limit of 0 is none.

    New failures come first, each in the run's order. The daily limit never suppresses the first alert of a day
    about a key: every failure is alerted.
    """
    known = set(sent_today)
    ordered = sorted(due, key=lambda each: _ORDER.index(each[1]))
    to_send: list[Key] = []
    to_suppress: list[Key] = []
    for key, _ in ordered:
        full = max_per_day and len(sent_today) + len(to_send) >= max_per_day and key in known
        (to_suppress if full else to_send).append(key)
    return Plan(to_send, to_suppress)
