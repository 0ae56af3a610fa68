"""What a run reports of its checks: results, logged errors, and messages of their own."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from healthchecks.plugin.alerting.alert import LOG
from healthchecks.plugin.alerting.policy import LONGEST_KIND, Condition, Incident, Key, Observation
from healthchecks.plugin.result import LogLine, Result, Status
from servermonitoring.delivery.alert_filter import AlertSubject

_LONGEST_TOPIC = 200  # characters of a message that distinguish it from others


@dataclass(frozen=True)
class Finding:
    """An observation of the policy, with the words for it."""

    observation: Observation
    result: Result
    message: str = ""
    level: str = "error"
    data: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.observation.key

    def subjects(self, before: Incident | None) -> Sequence[AlertSubject]:
        """Return what channels choose by: the result as it is now, and as it was when the same failure was alerted.

        So a channel that was alerted of a failure gets the rest of it, too: changes, reminders, the recovery.
        """
        result = self.result
        scope = "local" if result.local else "shared"
        return [AlertSubject(each, scope, result.severity, result.group) for each in sorted(self._statuses(before))]

    def _statuses(self, before: Incident | None) -> set[str]:
        """Return "failed", "error" or both; what a check has logged, and messages of its own, are errors."""
        if self.key[2]:
            return {str(Status.ERROR)}
        now = {str(self.result.status)} if self.result.status.is_failure else set()
        return now | {each.partition(" ")[0] for each in (before.kinds if before else ())}


def findings(results: Iterable[Result], known: Iterable[Key]) -> Iterator[Finding]:
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


def _of_result(result: Result) -> Finding:
    status = result.status
    condition = Condition.PASSING if status.is_passing else Condition.UNKNOWN
    if status.is_failure:
        condition = Condition.FAILING
    observation = _observation(result, "", condition, f"{status} {result.kind}")
    return Finding(observation, result, result.message, "warning" if result.severity == "warning" else "error")


def _of_log(result: Result) -> Iterator[Finding]:
    """Yield each message of its own by itself; logged errors in one finding, unless the check failed."""
    lines = [line for line in result.log if not line.is_repeated]
    for line in {line.text: line for line in lines if line.is_message}.values():
        observation = _observation(result, line.text[:_LONGEST_TOPIC], Condition.FAILING, line.text)
        level = logging.getLevelName(line.level).lower()
        yield Finding(observation, result, line.text, level, dict(line.data))
    errors = [line for line in lines if line.level >= logging.ERROR and not line.is_message]
    if errors and not result.status.is_failure:
        yield _logged(result, errors)


def _logged(result: Result, errors: list[LogLine]) -> Finding:
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    kind = f"{errors[0].logger}: {errors[0].template}"
    return Finding(_observation(result, LOG, Condition.FAILING, kind), result, errors[0].text + more)


def _gone(result: Result, topic: str) -> Finding:
    """Return the end of a topic that did not come again: it passes, unless the check could not report it."""
    condition = Condition.PASSING if result.status.is_passing else Condition.UNKNOWN
    return Finding(_observation(result, topic, condition, ""), result)


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
