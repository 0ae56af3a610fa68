"""What a family weighs: its proportional set size (PSS), measured exactly only where it matters.

Resident sizes count a page once for each process that shares it: an idle Firefox of 12 processes is 1.2 GB by
them and 0.5 GB by PSS. But they cost a hundredth. So the sum of resident sizes, which is never below the PSS,
is enough while it is far from the limit; then one exact measure, from which the growth of the resident sizes
is counted on; and another one when that count reaches the limit.
"""

import logging
from collections.abc import Iterable

from watchdog import processes

log = logging.getLogger(__name__)

FAR = 0.8  # of the limit: below it no exact measure is needed
_DRIFT = 60.0  # seconds after which counting on is no longer trusted
_STEP = 0.005  # of the limit: growth by less is no reason for another exact measure within a second
_SAME = 1_000_000  # bytes: a process that changed by less need not be measured anew


class Scale:
    """Weighs one family again and again."""

    def __init__(self) -> None:
        self._exact: dict[int, tuple[int, int]] = {}  # pid → (resident, proportional) when measured
        self._measured = self._whole = float("-inf")  # uptime of the last measure, and of the last of all
        self._at = 0  # what it was then

    def weigh(self, pids: Iterable[int], limit: int, now: float) -> int:
        """At least what the family weighs, in bytes, and exactly that where it is over the limit."""
        resident = {pid: processes.resident(pid) for pid in pids}
        total = sum(whole for whole, _ in resident.values())
        if total < FAR * limit:
            return total
        if now - self._whole > _DRIFT:
            return self.exactly(resident, now)
        counted = sum(self._count(pid, *each) for pid, each in resident.items())
        if counted >= limit and (abs(counted - self._at) > _STEP * limit or now - self._measured > 1):
            return self._measure(resident, now)
        return counted

    def exactly(self, pids: Iterable[int], now: float) -> int:
        """What the family weighs, every process of it measured now."""
        self._exact.clear()
        self._whole = now
        return self._measure({pid: processes.resident(pid) for pid in pids}, now)

    def _count(self, pid: int, resident: int, shared: int) -> int:
        before = self._exact.get(pid)
        if before is None:
            return resident - shared
        return max(0, before[1] + resident - before[0])

    def _measure(self, resident: dict[int, tuple[int, int]], now: float) -> int:
        for pid, (whole, shared) in resident.items():
            before = self._exact.get(pid)
            if before is None or abs(whole - before[0]) > _SAME:
                self._exact[pid] = whole, proportional(pid, whole - shared)
        for pid in self._exact.keys() - resident.keys():
            del self._exact[pid]
        self._measured = now
        self._at = sum(self._count(pid, *each) for pid, each in resident.items())
        return self._at


_said = False


def proportional(pid: int, unshared: int) -> int:
    """The PSS of a process, or what it shares with nobody where this user may not know more."""
    try:
        return processes.proportional(pid)
    except PermissionError:
        global _said  # noqa: PLW0603 - said once in the life of the program
        if not _said:
            _said = True
            log.warning(
                "the proportional memory of process %d of another user may not be read: "
                "such browsers are judged by their resident memory less what is shared",
                pid,
            )
        return unshared
