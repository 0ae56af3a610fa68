"""Decides whether a browser has to die. Pure: it knows only what it is given."""

import math
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from servermonitoring.values import in_words, size_in_words
from watchdog.rules import Rule


class Reason(Enum):
    MEMORY = "memory"
    NEVER_VALIDATED = "never validated"
    SILENT = "silent"


class Facts(NamedTuple):
    """What is known of a family at one moment. Times are seconds of uptime."""

    started: float
    memory: int  # bytes
    validated: float | None
    excused: float = 0.0  # until then nobody could validate, or no validation could be seen
    asked: float = math.inf  # when it was last looked whether it has been validated


class Verdict(NamedTuple):
    reason: Reason
    message: str


def verdict(family: Facts, rule: Rule, now: float) -> Verdict | None:
    """Why the family has to die; None if it may live."""
    if rule.max_memory is not None and family.memory > rule.max_memory:
        words = f"uses {size_in_words(family.memory)} of {size_in_words(rule.max_memory)} allowed"
        return Verdict(Reason.MEMORY, words)
    due = due_at(family, rule)
    if due is None or now < due:
        return None
    if family.validated is None:
        words = f"never validated in the {in_words(now - family.started)} since its start"
        return Verdict(Reason.NEVER_VALIDATED, f"{words} ({in_words(rule.validated_within or 0)} allowed)")
    words = f"last validated {in_words(now - family.validated)} ago"
    return Verdict(Reason.SILENT, f"{words} ({in_words(rule.revalidated_every or 0)} allowed)")


def due_at(family: Facts, rule: Rule) -> float | None:
    """The moment at which the family must have been validated again; None if never."""
    if family.validated is None:
        since, allowed = family.started, rule.validated_within
    else:
        since, allowed = family.validated, rule.revalidated_every
    return None if allowed is None else max(since, family.excused) + allowed


_FASTEST_GROWTH = 1_000_000_000  # bytes a second: twice what a browser was seen to do
_SHORTEST = 0.02  # seconds between two looks, however near the limit
DYING = 0.01  # seconds between two looks at one that is being killed


def pause(families: Iterable[tuple[Facts, Rule]], now: float, longest: float) -> float:
    """Seconds until the next look."""
    return min([longest, *(max(_SHORTEST, _needed(facts, rule, now)) for facts, rule in families)])


def _needed(facts: Facts, rule: Rule, now: float) -> float:
    times = []
    if rule.max_memory is not None:
        times.append((rule.max_memory - facts.memory) / _FASTEST_GROWTH)
    due = due_at(facts, rule)
    if due is not None:
        times.append(due - now)
    if facts.validated is None and rule.revalidated_every is not None:  # it may have been, since
        times.append(facts.asked + rule.revalidated_every - now)
    return min(times, default=float("inf"))
