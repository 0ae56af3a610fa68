"""Words for statuses, and the headline: shared by terminal, page and reports."""

import enum
from collections.abc import Iterable

from healthchecks.plugin.result import Result, Status


class State(enum.StrEnum):
    """In the order in which the page shows them."""

    FAILED = "failed"
    ERROR = "error"
    BLOCKED = "blocked"
    STALE = "stale"
    NEVER = "never"
    SLOW = "slow"
    OK = "ok"
    SKIPPED = "skipped"

    @property
    def word(self) -> str:
        return _WORDS[self]

    @property
    def is_failure(self) -> bool:
        return self in (State.FAILED, State.ERROR)


_WORDS = {
    State.FAILED: "failing", State.ERROR: "check broken", State.BLOCKED: "blocked", State.STALE: "stale",
    State.NEVER: "never probed", State.SLOW: "slow", State.OK: "well", State.SKIPPED: "skipped",
}  # fmt: skip


def word_of(status: Status) -> str:
    """For one result, as the cards say it."""
    return State(status.value).word


def headline(results: Iterable[Result]) -> str:
    """One line that says it all: "2 of 14 checks are failing", "All 14 checks are well"."""
    judged = [each for each in results if each.status is not Status.SKIPPED]
    bad = [each for each in judged if each.status.is_failure]
    in_maintenance = sum(each.maintenance for each in bad)
    blocked = sum(each.status is Status.BLOCKED for each in judged)
    return in_one_line(len(judged), len(bad) - in_maintenance, blocked, in_maintenance)


def in_one_line(judged: int, failing: int, blocked: int, in_maintenance: int) -> str:
    """The headline by its figures; what fails in maintenance is told apart, since nobody has to hurry for it."""
    if not judged:
        return "No check was judged"
    parts = [f"{failing} of {_checks(judged)} {'is' if failing == 1 else 'are'} failing"] if failing else []
    parts += [f"{blocked} {'more ' if failing else ''}blocked"] * bool(blocked)
    parts += [f"{in_maintenance} in maintenance"] * bool(in_maintenance)
    if parts:
        return ", ".join(parts if failing else [f"None of {_checks(judged)} is failing", *parts])
    return f"All {_checks(judged)} are well" if judged > 1 else "The one check is well"


def _checks(count: int) -> str:
    return f"{count} check{'s' if count > 1 else ''}"
