"""What a run has to say, as the policy wants it: verdicts, logged errors, and messages of their own."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from healthchecks.plugin.alerting.alert import LOG
from healthchecks.plugin.alerting.policy import LONGEST_KIND, Key, Observation, Seen
from healthchecks.plugin.result import LogLine, Result

_LONGEST_TOPIC = 200  # characters of a message that tell it from others


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


def findings(results: Iterable[Result], remembered: Iterable[Key]) -> Iterator[Finding]:
    """All of a run, and that what is remembered of its checks did not come again."""
    topics: dict[tuple[str, str], set[str]] = {}
    for check, target, topic in remembered:
        if topic:
            topics.setdefault((check, target), set()).add(topic)
    for result in results:
        yield _verdict(result)
        told = list(_told(result))
        yield from told
        gone = topics.get(result.key, set()) - {each.key[2] for each in told}
        yield from (_gone(result, topic) for topic in sorted(gone))


def _verdict(result: Result) -> Finding:
    seen = Seen.FAILING if result.status.is_failure else Seen.WELL if result.status.is_well else Seen.UNKNOWN
    return Finding(_observation(result, "", seen, f"{result.status} {result.kind}"), result, result.message)


def _told(result: Result) -> Iterator[Finding]:
    """What it logged: its own messages each by itself; errors in one, unless it failed anyhow."""
    lines = [line for line in result.log if not line.is_repeated]
    for line in {line.text: line for line in lines if line.is_message}.values():
        observation = _observation(result, line.text[:_LONGEST_TOPIC], Seen.FAILING, line.text)
        level = logging.getLevelName(line.level).lower()
        yield Finding(observation, result, line.text, level, dict(line.data))
    errors = [line for line in lines if line.level >= logging.ERROR and not line.is_message]
    if errors and not result.status.is_failure:
        yield _logged(result, errors)


def _logged(result: Result, errors: list[LogLine]) -> Finding:
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    kind = f"{errors[0].logger}: {errors[0].template}"
    return Finding(_observation(result, LOG, Seen.FAILING, kind), result, errors[0].text + more)


def _gone(result: Result, topic: str) -> Finding:
    """Not said this time: that is well, unless the check could not say it."""
    silent = not result.status.is_well
    return Finding(_observation(result, topic, Seen.UNKNOWN if silent else Seen.WELL, ""), result)


def _observation(result: Result, topic: str, seen: Seen, kind: str) -> Observation:
    thresholds = (1, 1) if topic else (result.failure_threshold, result.success_threshold)
    return Observation((*result.key, topic), seen, kind[:LONGEST_KIND], *thresholds, result.maintenance)
