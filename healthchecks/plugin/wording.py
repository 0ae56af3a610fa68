"""Status words and the headline: shared by the terminal, the pages, the badges and the reports."""

import enum
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from healthchecks.plugin.result import Status
from servermonitoring.values import counted


class CardStatus(enum.StrEnum):
    """Every status that a page shows, in display order: those of a result, and two of checks without a recent one."""

    FAILED = Status.FAILED
    ERROR = Status.ERROR
    BLOCKED = Status.BLOCKED
    STALE = "stale"
    NEVER = "never"
    SLOW = Status.SLOW
    OK = Status.OK
    SKIPPED = Status.SKIPPED

    @property
    def word(self) -> str:
        return "never probed" if self is CardStatus.NEVER else str(self)

    @property
    def is_failure(self) -> bool:
        return self in _FAILURES

    @property
    def is_recent(self) -> bool:
        """Whether there is a recent result to count."""
        return self not in (CardStatus.STALE, CardStatus.NEVER, CardStatus.SKIPPED)


_FAILURES = (CardStatus.FAILED, CardStatus.ERROR)
_APART = _MAINTENANCE, _SILENCED = "maintenance", "silenced"


class Rated(Protocol):
    """A result, a card of the page, a report."""

    @property
    def status(self) -> str: ...

    @property
    def maintenance(self) -> bool: ...

    @property
    def silence(self) -> object: ...


def rank(status: str) -> int:
    """Return the place of a status in the display order."""
    return _RANKS[status]


_RANKS = {str(status): place for place, status in enumerate(CardStatus)}


def make_headline(checks: Iterable[Rated], noun: str = "check") -> str:
    """Return the state of all in one line: "2 of 14 checks failed, 1 blocked", "All 14 checks are ok".

    A failure that is silenced or in maintenance is counted apart: it needs nobody's attention. Without a recent result
    a check does not count.
    """
    counts = Counter(map(_count_as, checks))
    total = sum(count for name, count in counts.items() if name in _APART or CardStatus(name).is_recent)
    if not total:
        return f"No {noun} ran"
    all_of_them = counted(total, noun)
    failed, errors, blocked = (counts[each] for each in (CardStatus.FAILED, CardStatus.ERROR, CardStatus.BLOCKED))
    parts = [f"{failed} failed"] * bool(failed)
    parts += [f"{errors} ended in error"] * bool(errors)
    if parts:
        count, _, words = parts[0].partition(" ")
        parts[0] = f"{count} of {all_of_them} {words}"
    elif blocked or any(counts[each] for each in _APART):
        parts = [f"None of {all_of_them} failed"]
    else:
        return f"All {all_of_them} are ok" if total > 1 else f"{all_of_them} is ok"
    parts += [f"{blocked} blocked"] * bool(blocked)
    parts += [f"{counts[_MAINTENANCE]} in maintenance"] * bool(counts[_MAINTENANCE])
    parts += [f"{counts[_SILENCED]} silenced"] * bool(counts[_SILENCED])
    return ", ".join(parts)


def _count_as(check: Rated) -> str:
    if check.status not in _FAILURES or not (check.maintenance or check.silence):
        return str(check.status)
    return _MAINTENANCE if check.maintenance else _SILENCED
