"""What a run has to send: from its results and what is remembered to alerts, and to what is remembered then."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from healthchecks.plugin.alerting.alert import Alert, Past, event_id
from healthchecks.plugin.alerting.findings import Finding, findings
from healthchecks.plugin.alerting.policy import Action, Key, Memory, Plan, decide, kept_back, plan
from healthchecks.plugin.alerting.state import AlertState
from healthchecks.plugin.result import Result

STORM = ("suite", "alerts", "storm")
DAYS_LIMIT = ("suite", "alerts", "limit of the day")
_NAMED = 10  # checks that a summary names


@dataclass(frozen=True)
class Limits:
    """[alerts]: events in a run and in 24 hours, 0 for no limit."""

    max_per_run: int = 20
    max_per_day: int = 200


@dataclass
class Told:
    """What became of what fails, for the run's summary."""

    sent: int = 0
    summarized: int = 0
    kept_back: int = 0
    actions: Counter[Action] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Due:
    """A finding with what is to be done about it, and what is remembered then."""

    finding: Finding
    action: Action
    before: Memory | None
    memory: Memory | None


@dataclass(frozen=True)
class Round:
    """What to send, then what to remember. Nothing of it has happened yet."""

    alerts: Sequence[Alert]
    changed: Mapping[Key, Memory | None]
    unsent: Mapping[str, Mapping[Key, Memory]]
    """What is remembered instead if the alert of this id never leaves the process."""
    told: Told
    recovered: Mapping[str, float]
    """The last events of checks that are well again, with when."""

    def remembered(self, lost: Collection[str]) -> tuple[Mapping[Key, Memory | None], Sequence[Key]]:
        """What to remember, and the keys of what was sent, when the alerts of these ids did not leave."""
        instead = {key: memory for event in lost for key, memory in self.unsent.get(event, {}).items()}
        return {**self.changed, **instead}, [alert.key for alert in self.alerts if alert.id not in lost]


Pasts = Mapping[tuple[str, str], Sequence[Past]]
"""The last runs of each check before this one, newest first."""


class Alerting:
    """Decides for all checks of a run by the policy. `state` None: it cannot be read, so all that fails is alerted."""

    def __init__(
        self, limits: Limits, host: str, state: AlertState | None, now: datetime, pasts: Pasts = MappingProxyType({})
    ) -> None:
        self.limits, self.host, self.now, self.pasts = limits, host, now, pasts
        self.is_known, self.state = state is not None, state or AlertState()

    def decide(self, results: Iterable[Result]) -> Round:
        known = self.state.memories
        dues = {each.key: self._decide(each, known.get(each.key)) for each in findings(results, known)}
        sent_today = self.state.sent_today(self.now.timestamp())
        waiting = [(key, due.action) for key, due in dues.items() if due.action.is_sent]
        chosen = plan(waiting, sent_today, max_per_run=self.limits.max_per_run, max_per_day=self.limits.max_per_day)
        alerts = self._alerts(chosen, dues, sent_today)
        events = {alert.key: alert.id for alert in alerts}
        told_by = {events[key]: [key] for key in chosen.sent} | {events.get(STORM, ""): chosen.summarized}
        changed = {key: _remember(due, key in chosen.kept_back, events) for key, due in dues.items()}
        return Round(
            alerts,
            {key: memory for key, memory in changed.items() if memory != known.get(key)},
            {event: _unsent(dues[key] for key in keys) for event, keys in told_by.items()},
            _told(chosen, dues.values()),
            {due.before.event: self.now.timestamp() for due in dues.values() if _is_to_resolve(due) and due.before},
        )

    def _decide(self, finding: Finding, before: Memory | None) -> _Due:
        observation, episode = finding.observation, self.state.episode
        if not self.is_known:
            observation, episode = replace(observation, failure_threshold=1), f"unknown {self.now:%Y-%m-%d %H}"
        action, memory = decide(before, observation, self.now.timestamp(), episode)
        return _Due(finding, action, before, memory)

    def _alerts(self, chosen: Plan, dues: Mapping[Key, _Due], sent_today: Sequence[Key]) -> list[Alert]:
        alerts = [self._alert(dues[key]) for key in chosen.sent]
        if chosen.summarized:
            alerts.append(self._summary([dues[key] for key in chosen.summarized]))
        if chosen.kept_back and DAYS_LIMIT not in sent_today:
            alerts.append(self._limit_reached())
        return alerts

    def _alert(self, due: _Due) -> Alert:
        finding, memory = due.finding, due.memory or Memory(self.now.timestamp(), "")
        return Alert(
            id=self._id(due),
            key=finding.key,
            action=due.action,
            label=finding.result.label,
            message=finding.message,
            level=finding.level,
            time=self.now,
            since=datetime.fromtimestamp(memory.since, UTC),
            failures=memory.failures,
            suppressed=due.before.suppressed if due.before else 0,
            host=self.host,
            result=finding.result,
            past=self.pasts.get(finding.key[:2], ()),
            data=finding.data,
        )

    def _id(self, due: _Due) -> str:
        memory = due.memory or Memory(self.now.timestamp(), "")
        which = {Action.REMINDER: memory.reminders, Action.CHANGED: due.finding.observation.kind}.get(due.action, "")
        return event_id(self.host, *due.finding.key, due.action, memory.episode, which)

    def _summary(self, dues: Sequence[_Due]) -> Alert:
        names = [due.finding.result.label for due in dues]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        message = f"{len(names)} more checks are failing: {', '.join(names[:_NAMED])}{more}"
        return self._own(STORM, message, *(self._id(due) for due in dues))

    def _limit_reached(self) -> Alert:
        message = (
            f"{self.limits.max_per_day} events within 24 hours: until there are fewer, only the first alert of a check "
            "is sent; see the page"
        )
        return self._own(DAYS_LIMIT, message, int(self.now.timestamp()))

    def _own(self, key: Key, message: str, *told_apart_by: object) -> Alert:
        event = event_id(self.host, *key, *told_apart_by)
        return Alert(event, key, Action.ALERT, "suite[alerts]", message, "error", self.now, self.now, 1, 0, self.host)


def _remember(due: _Due, is_kept_back: bool, events: Mapping[Key, str]) -> Memory | None:
    if due.memory is None:
        return None
    if is_kept_back:
        return kept_back(due.before, due.memory)
    event = events.get(due.finding.key)
    return replace(due.memory, event=event) if event else due.memory


def _unsent(dues: Iterable[_Due]) -> dict[Key, Memory]:
    return {due.finding.key: kept_back(due.before, due.memory) for due in dues if due.memory}


def _is_to_resolve(due: _Due) -> bool:
    return due.action is Action.RECOVERED and due.before is not None and due.before.event != ""


def _told(chosen: Plan, dues: Iterable[_Due]) -> Told:
    actions = Counter(due.action for due in dues)
    return Told(len(chosen.sent), len(chosen.summarized), len(chosen.kept_back), actions)
