"""The memory of a browser: its proportional set size (PSS) and what is swapped out, exact only near the limit.

Resident sizes count a page once for each process that shares it: an idle Firefox of 12 processes has 1.2 GB by
resident sizes and 0.5 GB by PSS. But reading them costs a hundredth. The sum of resident sizes and swap is never below
the PSS, so it suffices far from the limit. Near it the PSS is measured once, and an upper bound is estimated from there
at each scan; when the estimate reaches the limit, the PSS is measured again. So nothing above the limit is missed, and
nothing is killed for an estimate.
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from watchdog import processes
from watchdog.processes import Rollup

log = logging.getLogger(__name__)

FAR = 0.8  # of the limit: below it no exact value is needed
_DRIFT = 60.0  # seconds after which an estimate is no longer trusted
_STEP = 0.005  # of the limit: growth by less is no reason to measure again within a second
_SAME = 1_000_000  # bytes: a process that changed by less is not measured again


class _ProcessMemory(NamedTuple):
    """A process when it was measured, in bytes."""

    whole: int  # resident or swapped out
    proportional: int
    shareable: int  # of the whole: what others may share, and carry alone when this process releases it

    def most(self, whole: int) -> int:
        """Return an upper bound now, with what others carry for it if it has become smaller."""
        change = whole - self.whole
        return self.proportional + (change if change >= 0 else min(0, change + self.shareable))


class MemoryMeter:
    """Measures the memory of one browser repeatedly."""

    def __init__(self) -> None:
        self._values: dict[int, _ProcessMemory] = {}  # by pid, also of processes that have ended since
        self._measured_at = self._all_measured_at = float("-inf")  # uptime: of any process, of all
        self._last = 0  # the total after that

    def read(self, pids: Iterable[int], limit: int, now: float) -> int:
        """Return an upper bound in bytes; the exact value where that exceeds the limit."""
        wholes = _wholes(pids)
        total = sum(wholes.values())
        if total < FAR * limit:
            return total
        if now - self._all_measured_at > _DRIFT:
            return self._measure_all(wholes, now)
        estimate = self._estimate(wholes)
        if estimate < limit:
            return estimate
        if abs(estimate - self._last) > _STEP * limit or now - self._measured_at > 1:
            return self._measure(wholes, limit, now)
        return min(estimate, max(limit, self._last))  # above the limit only if it was measured

    def read_exactly(self, pids: Iterable[int], now: float) -> int:
        """Return the bytes in use, with every process measured now."""
        return self._measure_all(_wholes(pids), now)

    def _estimate(self, wholes: dict[int, int]) -> int:
        """Return an upper bound. A process not measured yet may share nothing of what it maps."""
        known = sum(value.most(wholes.get(pid, 0)) for pid, value in self._values.items())
        return known + sum(whole for pid, whole in wholes.items() if pid not in self._values)

    def _measure(self, wholes: dict[int, int], limit: int, now: float) -> int:
        """Measure what is new or has grown, and everything if that does not show that the limit is kept."""
        changes = {pid: wholes.get(pid, 0) - value.whole for pid, value in self._values.items()}
        changed = [pid for pid in wholes if changes.get(pid, _SAME + 1) > _SAME]
        if min(changes.values(), default=0) < -_SAME:  # others may carry more
            return self._measure_all(wholes, now)
        self._update(wholes, changed, now)
        self._last = self._estimate(wholes)
        if self._last < limit:
            return self._last
        return self._measure_all(wholes, now, but=changed)

    def _measure_all(self, wholes: dict[int, int], now: float, but: Iterable[int] = ()) -> int:
        """Measure all but those that were measured just now."""
        self._values = {pid: self._values[pid] for pid in but}
        self._update(wholes, wholes.keys() - self._values.keys(), now)
        self._all_measured_at = now
        self._last = sum(value.proportional for value in self._values.values())
        return self._last

    def _update(self, wholes: dict[int, int], pids: Iterable[int], now: float) -> None:
        for pid in pids:
            whole, found = wholes[pid], measure(pid)
            self._values[pid] = _ProcessMemory(whole, found.proportional, max(0, whole - found.private))
        self._measured_at = now


def _wholes(pids: Iterable[int]) -> dict[int, int]:
    return {pid: processes.resident(pid)[0] for pid in pids}


def measure(pid: int) -> Rollup:
    """Return the PSS of a process and its private memory; zeros for a process that is gone.

    Where this user may not read it, return what the process shares with nobody; where it cannot be read, all that is
    resident.
    """
    try:
        return processes.rollup(pid)
    except (PermissionError, TimeoutError) as error:  # one that responds late may be healthy: never too much
        whole, shared = processes.resident(pid)
        is_forbidden = isinstance(error, PermissionError)
        why = "this user may not read it" if is_forbidden else str(error.strerror)
        _warn_once(pid, why, "resident memory less what is shared")
        return Rollup(whole - shared, whole - shared)
    except OSError as error:
        whole, _ = processes.resident(pid)
        if whole:
            _warn_once(pid, str(error.strerror), "resident memory")
        return Rollup(whole, whole)


_logged_fallbacks: set[str] = set()


def _warn_once(pid: int, why: str, instead: str) -> None:
    """Log it once in the life of the program."""
    if instead not in _logged_fallbacks:
        _logged_fallbacks.add(instead)
        log.warning(
            "the memory (PSS) of process %d cannot be measured: %s; the limit applies to its %s", pid, why, instead
        )
