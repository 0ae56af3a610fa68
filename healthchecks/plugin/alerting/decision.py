"""What a run has to send and what to store then: from its findings and the stored incidents."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from healthchecks.plugin.alerting.alert import LOG, Alert, EarlierResult, event_id
from healthchecks.plugin.alerting.findings import Finding, findings
from healthchecks.plugin.alerting.policy import Action, Incident, Key, decide, keep_due, plan
from healthchecks.plugin.alerting.state import AlertState, LastKill
from healthchecks.plugin.result import Result
from servermonitoring.delivery.alert_filter import AlertFilter, AlertSubject
from servermonitoring.values import counted, in_words

SUMMARY = ("suite", "alerts", "storm")
RECOVERY_SUMMARY = ("suite", "alerts", "recoveries")
DAILY_LIMIT = ("suite", "alerts", "limit of the day")
_MOST_NAMES = 10  # checks that a summary names


@dataclass(frozen=True)
class AlertSelection:
    """What of all that is due is sent: the limits of [alerts], where 0 is none, and what the channels take."""

    max_per_run: int = 20
    """Events, and as many recoveries, of a run to one channel."""
    max_per_day: int = 200
    """Events in 24 hours."""
    filters: Sequence[AlertFilter] = (AlertFilter(),)
    """Of the channels, each once."""
    sentry: AlertFilter | None = None
    """Sentry's, which alone has issues to resolve; None: no Sentry is configured."""

    def takers(self, subjects: Collection[AlertSubject]) -> frozenset[AlertFilter]:
        """Return the filters that take an alert about one of these."""
        return frozenset(each for each in self.filters if each.takes_any(subjects))


@dataclass(frozen=True)
class _Decision:
    """A finding, the action for it, and what to store then."""

    finding: Finding
    action: Action
    before: Incident | None
    incident: Incident | None
    filters: frozenset[AlertFilter]
    """Of the channels that are sent it."""

    @property
    def is_due(self) -> bool:
        """Whether an event is due, and some channel takes it."""
        return self.action.is_event and bool(self.filters)

    @property
    def is_untaken(self) -> bool:
        """Whether an event is due that no channel takes."""
        return self.action.is_event and not self.filters


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
    untaken: int
    """Events that no channel takes."""
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
        selection: AlertSelection,
        host: str,
        state: AlertState | None,
        now: datetime,
        earlier: EarlierResults = MappingProxyType({}),
    ) -> None:
        self.selection, self.host, self.now, self.earlier = selection, host, now, earlier
        self.is_known, self.state = state is not None, state or AlertState()

    def decide(self, results: Iterable[Result]) -> AlertRound:
        known = self.state.incidents
        decisions = {each.key: self._decide(each, known.get(each.key)) for each in findings(results, known)}
        sent_today = self.state.sent_today(self.now.timestamp())
        due = [(key, each.action) for key, each in decisions.items() if each.is_due]
        chosen = plan(due, sent_today, max_per_day=self.selection.max_per_day)
        untaken = {key for key, each in decisions.items() if each.is_untaken}
        events = self._share_out([decisions[key] for key in chosen.to_send], self._alert, self._summary)
        recovered = [each for each in decisions.values() if each.action is Action.RECOVERED]
        recoveries = self._share_out(recovered, self._recovery, self._recovery_summary)
        issues = {alert.key: alert.id for alert, _ in events if self.selection.sentry in {None, *alert.filters}}
        not_sent = untaken.union(chosen.to_suppress)
        after = {key: _to_store(each, key in not_sent, issues) for key, each in decisions.items()}
        return AlertRound(
            [
                *(alert for alert, _ in events),
                *self._limit_reached([decisions[key] for key in chosen.to_suppress], sent_today),
                *(alert for alert, _ in recoveries),
            ],
            {key: incident for key, incident in after.items() if incident != known.get(key)},
            {alert.id: _still_due(of) for alert, of in events}
            | {alert.id: _not_recovered(of) for alert, of in recoveries},
            Counter(each.action for each in decisions.values()),
            len(chosen.to_suppress),
            len(untaken),
            {each.before.event: self.now.timestamp() for each in recovered if each.before and each.before.event},
        )

    def _decide(self, finding: Finding, before: Incident | None) -> _Decision:
        observation, episode = finding.observation, self.state.episode
        if not self.is_known:
            observation, episode = replace(observation, failure_threshold=1), f"unknown {self.now:%Y-%m-%d %H}"
        action, incident = decide(before, observation, self.now.timestamp(), episode)
        takers = self.selection.takers(finding.subjects(before))
        return _Decision(finding, action, before, incident, takers)

    def _share_out(
        self,
        decisions: Sequence[_Decision],
        make: Callable[[_Decision], Alert],
        summarize: Callable[[Sequence[_Decision]], Alert],
    ) -> list[tuple[Alert, Sequence[_Decision]]]:
        """Return the alerts, each with what is in it: for each channel one summary of what is beyond its limit."""
        alone, together = defaultdict[int, set[AlertFilter]](set), defaultdict[tuple[int, ...], set[AlertFilter]](set)
        most = self.selection.max_per_run or len(decisions)
        for each in self.selection.filters:
            taken = [number for number, decision in enumerate(decisions) if each in decision.filters]
            for number in taken[:most]:
                alone[number].add(each)
            if rest := taken[most:]:
                together[tuple(rest)].add(each)
        alerts = [(make(decisions[number]), [decisions[number]], alone[number]) for number in sorted(alone)]
        for numbers, filters in together.items():
            several = [decisions[number] for number in numbers]
            alerts.append((summarize(several), several, filters))
        return [(replace(alert, filters=frozenset(filters)), of) for alert, of, filters in alerts]

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

    def _recovery_summary(self, decisions: Sequence[_Decision]) -> Alert:
        message = f"{counted(len(decisions), 'more check')} recovered: {_names(decisions)}"
        summary = self._own(RECOVERY_SUMMARY, message, *(self._id(each) for each in decisions))
        return replace(summary, action=Action.RECOVERED, level="info")

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

    def _limit_reached(self, suppressed: Sequence[_Decision], sent_today: Sequence[Key]) -> Iterator[Alert]:
        """Yield once a day that the limit is reached, for the channels from which something is kept."""
        if not suppressed or DAILY_LIMIT in sent_today:
            return
        message = (
            f"{self.selection.max_per_day} events within 24 hours ([alerts] max_per_day): until there are fewer, "
            "only the first alert of each check is sent; the page shows all that fails"
        )
        alert = self._own(DAILY_LIMIT, message, int(self.now.timestamp()))
        yield replace(alert, filters=frozenset().union(*(each.filters for each in suppressed)))

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


def _to_store(decision: _Decision, is_still_due: bool, issues: Mapping[Key, str]) -> Incident | None:
    """Return what is stored. `issues`: the ids of events that make one in Sentry."""
    if decision.incident is None:
        return None
    if is_still_due:
        return keep_due(decision.before, decision.incident)
    event = issues.get(decision.finding.key)
    return replace(decision.incident, event=event) if event else decision.incident


def _still_due(decisions: Iterable[_Decision]) -> dict[Key, Incident]:
    return {each.finding.key: keep_due(each.before, each.incident) for each in decisions if each.incident}


def _not_recovered(decisions: Iterable[_Decision]) -> dict[Key, Incident]:
    """Return the incidents as they were: the next passing run sends their recovery."""
    return {each.finding.key: each.before for each in decisions if each.before}
