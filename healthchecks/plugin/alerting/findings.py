"""What a run reports, as the policy's observations: results, logged errors, and messages of their own."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from healthchecks.plugin.alerting.alert import LOG
from healthchecks.plugin.alerting.policy import LONGEST_KIND, Condition, Key, Observation
from healthchecks.plugin.result import LogLine, Result

_LONGEST_TOPIC = 200  # characters of a message that distinguish it from others


@dataclass(frozen=True)
class Finding:
    """An observation, with the words for it."""

    observation: Observation
    result: Result
    message: str = ""
    level: str = "error"
    data: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.observation.key


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
    condition = Condition.FAILING if status.is_failure else Condition.PASSING if status.is_well else Condition.UNKNOWN
    return Finding(_observation(result, "", condition, f"{status} {result.kind}"), result, result.message)


def _of_log(result: Result) -> Iterator[Finding]:
    """Each message of its own by itself; logged errors in one finding, unless the check failed."""
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
    """A topic that did not come again is passing, unless the check could not report it."""
    condition = Condition.PASSING if result.status.is_well else Condition.UNKNOWN
    return Finding(_observation(result, topic, condition, ""), result)


def _observation(result: Result, topic: str, condition: Condition, kind: str) -> Observation:
    thresholds = (1, 1) if topic else (result.failure_threshold, result.success_threshold)
    return Observation((*result.key, topic), condition, kind[:LONGEST_KIND], *thresholds, result.maintenance)
