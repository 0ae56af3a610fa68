"""One run's way from its results to the outlets: what is remembered, what is due, what is sent."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from healthchecks.plugin.alerting.alert import Alert, event_id
from healthchecks.plugin.alerting.findings import Finding, findings
from healthchecks.plugin.alerting.memory import Memories
from healthchecks.plugin.alerting.policy import Action, Key, Memory, Seen, decide, kept_back
from healthchecks.plugin.alerting.storm import Plan, plan
from healthchecks.plugin.result import Result

STORM = ("suite", "alerts", "storm")
DAYS_LIMIT = ("suite", "alerts", "limit of the day")
_NAMED = 10  # checks that a summary names


class Outlet(Protocol):
    """Where alerts go: Sentry, a webhook."""

    def put(self, alert: Alert) -> None:
        """Keep it for delivery. Never raises, never waits for the network."""


@dataclass(frozen=True)
class Limits:
    """[alerts]: events in a run and in 24 hours, 0 for no limit; days that what was sent is remembered."""

    storm: int = 20
    per_day: int = 200
    days: int = 400


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


class Alerting:
    """Tells the outlets of a run's results by the policy; counts in `told` what it did."""

    def __init__(self, outlets: Sequence[Outlet], limits: Limits, host: str) -> None:
        self.outlets, self.limits, self.host = outlets, limits, host
        self.told = Told()
        self.recovered: dict[str, float] = {}
        """The last events of checks that are well again, with when."""

    def tell(self, results: Iterable[Result], memories: Memories | None, now: datetime) -> None:
        """Send what is due. Without memories everything that fails is due. Raises sqlite3.Error, having sent."""
        known = memories.load() if memories else {}
        dues = {
            finding.key: self._decide(finding, known.get(finding.key), memories, now)
            for finding in findings(results, known)
        }
        sent_today = memories.sent_today(now.timestamp()) if memories else []
        waiting = [(key, due.action) for key, due in dues.items() if due.action.is_sent]
        chosen = plan(waiting, sent_today, storm=self.limits.storm, per_day=self.limits.per_day)
        events = self._send(chosen, dues, sent_today, memories, now)
        self._count(chosen, dues.values(), now)
        if memories:
            changed = {key: _remember(due, key in chosen.kept_back, events) for key, due in dues.items()}
            changed = {key: memory for key, memory in changed.items() if memory != known.get(key)}
            sent = {key: dues[key].action if key in dues else Action.ALERT for key in events}
            memories.save(changed, sent, now.timestamp(), self.limits.days)

    def _decide(self, finding: Finding, before: Memory | None, memories: Memories | None, now: datetime) -> _Due:
        observation, episode = finding.observation, f"unknown {now:%Y-%m-%d %H}"
        if memories is None:
            observation = replace(observation, after=1)
        elif before is None and observation.seen is Seen.FAILING:
            episode = memories.episode(finding.key)
        action, memory = decide(before, observation, now.timestamp(), episode)
        return _Due(finding, action, before, memory)

    def _send(
        self, chosen: Plan, dues: Mapping[Key, _Due], sent_today: Sequence[Key], memories: Memories | None,
        now: datetime,
    ) -> dict[Key, str]:  # fmt: skip
        """The ids of the events by key."""
        alerts = [self._alert(dues[key], memories, now) for key in chosen.sent]
        events = {alert.key: alert.id for alert in alerts}
        if chosen.summarized:
            summary = self._summary([dues[key] for key in chosen.summarized], now)
            alerts.append(summary)
            events[STORM] = summary.id
        if chosen.kept_back and DAYS_LIMIT not in sent_today:
            alerts.append(self._limit_reached(now))
            events[DAYS_LIMIT] = alerts[-1].id
        for alert in alerts:
            for outlet in self.outlets:
                outlet.put(alert)
        return events

    def _alert(self, due: _Due, memories: Memories | None, now: datetime) -> Alert:
        finding, memory = due.finding, due.memory or Memory(now.timestamp(), "")
        told_of = memory.reminders if due.action is Action.REMINDER else finding.observation.kind
        which = "" if due.action is Action.ALERT else told_of
        return Alert(
            id=event_id(self.host, *finding.key, due.action, memory.episode, which),
            key=finding.key,
            action=due.action,
            label=finding.result.label,
            message=finding.message,
            level=finding.level,
            time=now,
            since=datetime.fromtimestamp(memory.since, UTC),
            failures=memory.failures,
            suppressed=due.before.suppressed if due.before else 0,
            host=self.host,
            result=finding.result,
            past=memories.past(finding.key) if memories else (),
            data=finding.data,
        )

    def _summary(self, dues: Sequence[_Due], now: datetime) -> Alert:
        names = [due.finding.result.label for due in dues]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        message = f"{len(names)} more checks are failing: {', '.join(names[:_NAMED])}{more}"
        ids = [self._alert(due, None, now).id for due in dues]
        return self._own(STORM, message, event_id(self.host, *STORM, *ids), now)

    def _limit_reached(self, now: datetime) -> Alert:
        limit = self.limits.per_day
        message = (
            f"{limit} events within 24 hours: until there are fewer, only the first alert of a check is sent; "
            "see the page"
        )
        return self._own(DAYS_LIMIT, message, event_id(self.host, *DAYS_LIMIT, int(now.timestamp())), now)

    def _own(self, key: Key, message: str, event: str, now: datetime) -> Alert:
        return Alert(event, key, Action.ALERT, "suite[alerts]", message, "error", now, now, 1, 0, self.host)

    def _count(self, chosen: Plan, dues: Iterable[_Due], now: datetime) -> None:
        self.told.sent += len(chosen.sent)
        self.told.summarized += len(chosen.summarized)
        self.told.kept_back += len(chosen.kept_back)
        self.told.actions.update(due.action for due in dues)
        for due in dues:
            if due.action is Action.RECOVERED and due.before and due.before.event:
                self.recovered[due.before.event] = now.timestamp()


def _remember(due: _Due, is_kept_back: bool, events: Mapping[Key, str]) -> Memory | None:
    if due.memory is None:
        return None
    if is_kept_back:
        return kept_back(due.before, due.memory)
    event = events.get(due.finding.key)
    return replace(due.memory, event=event) if event else due.memory
