"""Seconds since the machine started, which nobody can set, and the pauses in which the watchdog did not run."""

import functools
import logging
import os
import time

from servermonitoring.values import in_words

TICKS = os.sysconf("SC_CLK_TCK")  # per second; the unit of a process's start in /proc/PID/stat


def uptime() -> float:
    """Seconds since the machine started, to a hundredth."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _of_container() else _of_kernel()


def _of_kernel() -> float:
    descriptor = os.open("/proc/uptime", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return float(os.read(descriptor, 64).split(b" ", 1)[0])
    finally:
        os.close(descriptor)


@functools.cache
def _of_container() -> bool:
    """Whether another file lies over /proc/uptime: LXC's tells when the container started, and no process's start does.

    Only then the clock is asked, which a program may have faked for itself (libfaketime).
    """
    return os.stat("/proc/uptime").st_dev != os.stat("/proc/self/stat").st_dev  # noqa: PTH116 - pathlib costs 2 ms here


log = logging.getLogger(__name__)
_LONGEST_GAP = 3.0  # seconds between two scans or glances, of which the daemon makes one a second
_MOST = 10  # interruptions in short order that excuse validations wholly …
_RENEWED = 180.0  # … and the seconds of work without interruption after which one more does


class Interruptions:
    """All times are seconds of uptime."""

    def __init__(self, now: float) -> None:
        self._excused = 0.0
        self._last, self._computed = now, time.process_time()
        self._left, self._undisturbed = _MOST, 0.0

    def notice(self, now: float) -> float:
        """Return the moment until which missing validations are excused. To be called once a second at least."""
        passed, computed = now - self._last, time.process_time()
        lost = passed - (computed - self._computed)
        self._last, self._computed = now, computed
        if lost > _LONGEST_GAP:
            log.info("the watchdog did not run for %s: validations are awaited anew", in_words(lost))
            self._excuse(now, lost)
        else:
            self._work(passed)
        return self._excused

    def _work(self, passed: float) -> None:
        self._undisturbed += passed
        if self._undisturbed >= _RENEWED:
            self._left, self._undisturbed = min(_MOST, self._left + 1), 0.0

    def _excuse(self, now: float, lost: float) -> None:
        """Wholly; on a machine that is late all the time only by what was lost, or a hung browser would never end."""
        self._undisturbed = 0.0
        if self._left:
            self._left -= 1
            self._excused = now
        else:
            self._excused = min(now, self._excused + lost)
