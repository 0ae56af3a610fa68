"""What a run has to send and what to store then: from its results and the stored incidents.

What it reports are findings, the policy's observations: results, logged errors, and messages of their own.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from healthchecks.plugin.alerting.alert import LOG, Alert, EarlierResult, event_id
from healthchecks.plugin.alerting.policy import (
    LONGEST_KIND,
    Action,
    Condition,
    Incident,
    Key,
    Observation,
    Plan,
    decide,
    keep_due,
    plan,
)
from healthchecks.plugin.alerting.state import AlertState, LastKill
from healthchecks.plugin.result import LogLine, Result
from servermonitoring.values import in_words

SUMMARY = ("suite", "alerts", "storm")
RECOVERY_SUMMARY = ("suite", "alerts", "recoveries")
DAILY_LIMIT = ("suite", "alerts", "limit of the day")
_MOST_NAMES = 10  # checks that a summary names
_LONGEST_TOPIC = 200  # characters of a message that distinguish it from others


@dataclass(frozen=True)
class AlertLimits:
    """[alerts]: events, and as many recoveries, in a run; events in 24 hours. 0: no limit."""

    max_per_run: int = 20
    max_per_day: int = 200


@dataclass(frozen=True)
class _Finding:
    """An observation, with the words for it."""

    observation: Observation
    result: Result
    message: str = ""
    level: str = "error"
    data: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.observation.key


@dataclass(frozen=True)
class _Decision:
    """A finding, the action for it, and what to store then."""

    finding: _Finding
    action: Action
    before: Incident | None
    incident: Incident | None


@dataclass(frozen=True)
class AlertRound:
    """What to send, then what to store. Nothing of it has happened yet."""

    alerts: Sequence[Alert]
    changes: Mapping[Key, Incident | None]
    """What to store of each key; None: nothing any more."""
    if_lost: Mapping[str, Mapping[Key, Incident]]
    """What to store instead if the alert of this id never leaves the process."""
    actions: Counter[Action]
    """How often each action was decided."""
    over_daily_limit: int
    """Events that the daily limit suppressed."""
    to_resolve: Mapping[str, float]
    """The last events of checks that recovered, with when."""
    last_kill: LastKill | None = None
    """The last kill of the watchdog once the alerts of kills are sent; None: unchanged."""

    def to_store(self, lost: Collection[str]) -> tuple[Mapping[Key, Incident | None], Sequence[Key]]:
        """Return the changes, and the keys of what was sent, when the alerts of these ids did not leave."""
        instead = {key: incident for event in lost for key, incident in self.if_lost.get(event, {}).items()}
        return {**self.changes, **instead}, [each.key for each in self.events if each.id not in lost]

    def with_kills(self, alerts: Sequence[Alert], last: LastKill) -> "AlertRound":
        """Return the same with these alerts of kills, too."""
        return replace(self, alerts=[*self.alerts, *alerts], last_kill=last)

    def last_kill_to_store(self, lost: Collection[str]) -> LastKill | None:
        """Return the last kill; None if an alert of one did not leave, so that all are due again."""
        return None if any(each.is_kill and each.id in lost for each in self.alerts) else self.last_kill

    @property
    def events(self) -> list[Alert]:
        """Return the alerts that count for the daily limit. A recovery does not: each follows an event that did."""
        return [each for each in self.alerts if not each.is_recovery]


EarlierResults = Mapping[tuple[str, str], Sequence[EarlierResult]]
"""The last results of each check before this run, newest first."""


class Decider:
    """Decides for all checks of a run by the policy. `state` None: it cannot be read, so all that fails is alerted."""

    def __init__(
        self,
        limits: AlertLimits,
        host: str,
        state: AlertState | None,
        now: datetime,
        earlier: EarlierResults = MappingProxyType({}),
    ) -> None:
        self.limits, self.host, self.now, self.earlier = limits, host, now, earlier
        self.is_known, self.state = state is not None, state or AlertState()

    def decide(self, results: Iterable[Result]) -> AlertRound:
        known = self.state.incidents
        decisions = {each.key: self._decide(each, known.get(each.key)) for each in _findings(results, known)}
        sent_today = self.state.sent_today(self.now.timestamp())
        due = [(key, each.action) for key, each in decisions.items() if each.action.is_event]
        chosen = plan(due, sent_today, max_per_run=self.limits.max_per_run, max_per_day=self.limits.max_per_day)
        alerts = self._alerts(chosen, decisions, sent_today)
        events = {alert.key: alert.id for alert in alerts}
        keys_of = {events[key]: [key] for key in chosen.to_send} | {events.get(SUMMARY, ""): chosen.to_summarize}
        recovered = [each for each in decisions.values() if each.action is Action.RECOVERED]
        recoveries = self._recoveries(recovered)
        after = {key: _to_store(each, key in chosen.to_suppress, events) for key, each in decisions.items()}
        return AlertRound(
            [*alerts, *(alert for alert, _ in recoveries)],
            {key: incident for key, incident in after.items() if incident != known.get(key)},
            {event: _still_due(decisions[key] for key in keys) for event, keys in keys_of.items()}
            | {alert.id: _not_recovered(of) for alert, of in recoveries},
            Counter(each.action for each in decisions.values()),
            len(chosen.to_suppress),
            {each.before.event: self.now.timestamp() for each in recovered if each.before and each.before.event},
        )

    def _decide(self, finding: _Finding, before: Incident | None) -> _Decision:
        observation, episode = finding.observation, self.state.episode
        if not self.is_known:
            observation, episode = replace(observation, failure_threshold=1), f"unknown {self.now:%Y-%m-%d %H}"
        action, incident = decide(before, observation, self.now.timestamp(), episode)
        return _Decision(finding, action, before, incident)

    def _alerts(self, chosen: Plan, decisions: Mapping[Key, _Decision], sent_today: Sequence[Key]) -> list[Alert]:
        alerts = [self._alert(decisions[key]) for key in chosen.to_send]
        if chosen.to_summarize:
            alerts.append(self._summary([decisions[key] for key in chosen.to_summarize]))
        if chosen.to_suppress and DAILY_LIMIT not in sent_today:
            alerts.append(self._limit_reached())
        return alerts

    def _alert(self, decision: _Decision) -> Alert:
        finding, incident = decision.finding, decision.incident or Incident(self.now.timestamp(), "")
        return Alert(
            id=self._id(decision),
            key=finding.key,
            action=decision.action,
            label=finding.result.label,
            message=finding.message,
            level=finding.level,
            time=self.now,
            since=datetime.fromtimestamp(incident.since, UTC),
            failures=incident.failures,
            suppressed=decision.before.suppressed if decision.before else 0,
            host=self.host,
            result=finding.result,
            earlier=self.earlier.get(finding.key[:2], ()),
            data=finding.data,
        )

    def _recoveries(self, recovered: Sequence[_Decision]) -> list[tuple[Alert, Sequence[_Decision]]]:
        """Return what to send of them, each with the recoveries in it: beyond the limit of a run, one summary."""
        most = self.limits.max_per_run or len(recovered)
        alerts: list[tuple[Alert, Sequence[_Decision]]] = [(self._recovery(each), [each]) for each in recovered[:most]]
        if rest := recovered[most:]:
            message = f"{len(rest)} more check{'s' if len(rest) > 1 else ''} recovered: {_names(rest)}"
            ids = [self._id(each) for each in rest]
            summary = self._own(RECOVERY_SUMMARY, message, *ids)
            alerts.append((replace(summary, action=Action.RECOVERED, level="info"), rest))
        return alerts

    def _recovery(self, decision: _Decision) -> Alert:
        finding, before = decision.finding, decision.before or Incident(self.now.timestamp(), "")
        since = min(before.since, self.now.timestamp())
        return Alert(
            id=self._id(decision),
            key=finding.key,
            action=Action.RECOVERED,
            label=finding.result.label,
            message=_recovered(finding.key[2], self.now.timestamp() - since),
            level="info",
            time=self.now,
            since=datetime.fromtimestamp(since, UTC),
            failures=before.failures,
            suppressed=before.suppressed,
            host=self.host,
            result=finding.result,
            earlier=self.earlier.get(finding.key[:2], ()),
        )

    def _id(self, decision: _Decision) -> str:
        incident = decision.incident or decision.before or Incident(self.now.timestamp(), "")
        kind = decision.finding.observation.kind
        which = {Action.REMINDER: incident.reminders, Action.CHANGED: kind}.get(decision.action, "")
        if decision.before and decision.before.was_silenced:  # no reminder may have been due since the last event
            which = f"after a silence, run {incident.failures}"
        return event_id(self.host, *decision.finding.key, decision.action, incident.episode, which)

    def _summary(self, decisions: Sequence[_Decision]) -> Alert:
        checks = f"{len(decisions)} more checks are" if len(decisions) > 1 else "1 more check is"
        message = f"{checks} failing: {_names(decisions)}"
        return self._own(SUMMARY, message, *(self._id(each) for each in decisions))

    def _limit_reached(self) -> Alert:
        message = (
            f"{self.limits.max_per_day} events within 24 hours ([alerts] max_per_day): until there are fewer, "
            "only the first alert of each check is sent; the page shows all that fails"
        )
        return self._own(DAILY_LIMIT, message, int(self.now.timestamp()))

    def _own(self, key: Key, message: str, *distinguished_by: object) -> Alert:
        event = event_id(self.host, *key, *distinguished_by)
        return Alert(event, key, Action.ALERT, "suite[alerts]", message, "error", self.now, self.now, 1, 0, self.host)


def _names(decisions: Sequence[_Decision]) -> str:
    names = [each.finding.result.label for each in decisions]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def _recovered(topic: str, seconds: float) -> str:
    """Return what follows the label in the title of a recovery; a failure of ten minutes and more has no seconds."""
    unit = 60 if seconds >= 10 * 60 else 1
    duration = in_words(round(seconds / unit) * unit)
    if not topic:
        return f"recovered after {duration}"
    if topic == LOG:
        return f"logs no errors any more, after {duration}"
    return f"no longer reports, after {duration}: {topic}"


def _to_store(decision: _Decision, is_suppressed: bool, events: Mapping[Key, str]) -> Incident | None:
    if decision.incident is None:
        return None
    if is_suppressed:
        return keep_due(decision.before, decision.incident)
    event = events.get(decision.finding.key)
    return replace(decision.incident, event=event) if event else decision.incident


def _still_due(decisions: Iterable[_Decision]) -> dict[Key, Incident]:
    return {each.finding.key: keep_due(each.before, each.incident) for each in decisions if each.incident}


def _not_recovered(decisions: Iterable[_Decision]) -> dict[Key, Incident]:
    """Return the incidents as they were: the next passing run sends their recovery."""
    return {each.finding.key: each.before for each in decisions if each.before}


def _findings(results: Iterable[Result], known: Iterable[Key]) -> Iterator[_Finding]:
    """Return all of a run, and which of the `known` topics of its checks did not come again."""
    topics: dict[tuple[str, str], set[str]] = {}
    for check, target, topic in known:
        if topic:
            topics.setdefault((check, target), set()).add(topic)
    for result in results:
        yield _of_result(result)
        logged = list(_of_log(result))
        yield from logged
        gone = topics.get(result.key, set()) - {each.key[2] for each in logged}
        yield from (_gone(result, topic) for topic in sorted(gone))


def _of_result(result: Result) -> _Finding:
    status = result.status
    condition = Condition.PASSING if status.is_passing else Condition.UNKNOWN
    if status.is_failure:
        condition = Condition.FAILING
    observation = _observation(result, "", condition, f"{status} {result.kind}")
    return _Finding(observation, result, result.message, "warning" if result.severity == "warning" else "error")


def _of_log(result: Result) -> Iterator[_Finding]:
    """Each message of its own by itself; logged errors in one finding, unless the check failed."""
    lines = [line for line in result.log if not line.is_repeated]
    for line in {line.text: line for line in lines if line.is_message}.values():
        observation = _observation(result, line.text[:_LONGEST_TOPIC], Condition.FAILING, line.text)
        level = logging.getLevelName(line.level).lower()
        yield _Finding(observation, result, line.text, level, dict(line.data))
    errors = [line for line in lines if line.level >= logging.ERROR and not line.is_message]
    if errors and not result.status.is_failure:
        yield _logged(result, errors)


def _logged(result: Result, errors: list[LogLine]) -> _Finding:
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    kind = f"{errors[0].logger}: {errors[0].template}"
    return _Finding(_observation(result, LOG, Condition.FAILING, kind), result, errors[0].text + more)


def _gone(result: Result, topic: str) -> _Finding:
    """A topic that did not come again is passing, unless the check could not report it."""
    condition = Condition.PASSING if result.status.is_passing else Condition.UNKNOWN
    return _Finding(_observation(result, topic, condition, ""), result)


def _observation(result: Result, topic: str, condition: Condition, kind: str) -> Observation:
    thresholds = (1, 1) if topic else (result.failure_threshold, result.success_threshold)
    return Observation(
        (*result.key, topic),
        condition,
        kind[:LONGEST_KIND],
        *thresholds,
        in_maintenance=result.maintenance,
        is_silenced=result.silence is not None,
    )
