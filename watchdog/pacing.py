"""When to look again: soon when a browser is near a limit, late when nothing is. Pure."""

from collections.abc import Iterable

from watchdog.rules import Rule
from watchdog.verdict import Facts, due_at

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
