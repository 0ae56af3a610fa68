"""What a family weighs: its proportional set size (PSS) with what is swapped out, exactly only where it matters.

Resident sizes count a page once for each process that shares it: an idle Firefox of 12 processes is 1.2 GB by
them and 0.5 GB by PSS. But they cost a hundredth. So the sum of resident sizes and swap, which is never below the
PSS, is enough while it is far from the limit; then one exact measure, from which the most that it can be now is
counted on; and another one when that count reaches the limit. So nothing over the limit is missed, and nothing is
killed for what was only counted.
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from watchdog import processes
from watchdog.processes import Rollup

log = logging.getLogger(__name__)

FAR = 0.8  # of the limit: below it no exact measure is needed
_DRIFT = 60.0  # seconds after which counting on is no longer trusted
_STEP = 0.005  # of the limit: growth by less is no reason for another exact measure within a second
_SAME = 1_000_000  # bytes: a process that changed by less need not be measured anew


class _Measure(NamedTuple):
    """A process when it was measured, in bytes."""

    whole: int  # resident or swapped out
    proportional: int
    shareable: int  # of the whole: what others may share, and carry alone when it lets go

    def most(self, whole: int) -> int:
        """At most what it weighs now, with what others carry for it if it has become smaller."""
        change = whole - self.whole
        return self.proportional + (change if change >= 0 else min(0, change + self.shareable))


class Scale:
    """Weighs one family again and again."""

    def __init__(self) -> None:
        self._measures: dict[int, _Measure] = {}  # by pid, also of those that have ended since
        self._measured = self._complete = float("-inf")  # uptime of the last measure, and of the last of all
        self._at = 0  # the count after it

    def weigh(self, pids: Iterable[int], limit: int, now: float) -> int:
        """At least what the family weighs, in bytes, and exactly that where it is over the limit."""
        wholes = _wholes(pids)
        total = sum(wholes.values())
        if total < FAR * limit:
            return total
        if now - self._complete > _DRIFT:
            return self._measure_all(wholes, now)
        counted = self._count(wholes)
        if counted < limit:
            return counted
        if abs(counted - self._at) > _STEP * limit or now - self._measured > 1:
            return self._measure(wholes, limit, now)
        return min(counted, max(limit, self._at))  # over the limit only if it was measured so

    def exactly(self, pids: Iterable[int], now: float) -> int:
        """What the family weighs, every process of it measured now."""
        return self._measure_all(_wholes(pids), now)

    def _count(self, wholes: dict[int, int]) -> int:
        """At most what it weighs. A process not measured yet may have alone whatever it maps."""
        known = sum(measure.most(wholes.get(pid, 0)) for pid, measure in self._measures.items())
        return known + sum(whole for pid, whole in wholes.items() if pid not in self._measures)

    def _measure(self, wholes: dict[int, int], limit: int, now: float) -> int:
        """Measure what is new or has grown, and all if that does not show that the limit is kept."""
        changes = {pid: wholes.get(pid, 0) - measure.whole for pid, measure in self._measures.items()}
        changed = [pid for pid in wholes if changes.get(pid, _SAME + 1) > _SAME]
        if min(changes.values(), default=0) < -_SAME:  # others may carry more
            return self._measure_all(wholes, now)
        self._take(wholes, changed, now)
        self._at = self._count(wholes)
        if self._at < limit:
            return self._at
        return self._measure_all(wholes, now, but=changed)

    def _measure_all(self, wholes: dict[int, int], now: float, but: Iterable[int] = ()) -> int:
        """Measure all but those that were measured just now."""
        self._measures = {pid: self._measures[pid] for pid in but}
        self._take(wholes, wholes.keys() - self._measures.keys(), now)
        self._complete = now
        self._at = sum(measure.proportional for measure in self._measures.values())
        return self._at

    def _take(self, wholes: dict[int, int], pids: Iterable[int], now: float) -> None:
        for pid in pids:
            whole, found = wholes[pid], measure(pid)
            self._measures[pid] = _Measure(whole, found.proportional, max(0, whole - found.private))
        self._measured = now


def _wholes(pids: Iterable[int]) -> dict[int, int]:
    return {pid: processes.resident(pid)[0] for pid in pids}


def measure(pid: int) -> Rollup:
    """The PSS of a process and what it has alone; nothing for one that is gone.

    Where this user may not know it, what it shares with nobody; where it cannot be measured, all that is resident.
    """
    try:
        return processes.rollup(pid)
    except (PermissionError, TimeoutError) as error:  # one that answers late may be healthy: never too much
        whole, shared = processes.resident(pid)
        why = "may not be read by this user" if isinstance(error, PermissionError) else f"is not told: {error.strerror}"
        _warn_once(pid, why, "resident memory less what is shared")
        return Rollup(whole - shared, whole - shared)
    except OSError as error:
        whole, _ = processes.resident(pid)
        if whole:
            _warn_once(pid, f"cannot be measured ({error.strerror})", "resident memory")
        return Rollup(whole, whole)


_said: set[str] = set()


def _warn_once(pid: int, what: str, instead: str) -> None:
    """Say it once in the life of the program."""
    if instead not in _said:
        _said.add(instead)
        log.warning("the memory of process %d %s: such browsers are judged by their %s", pid, what, instead)
