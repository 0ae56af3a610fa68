"""The uptime, a clock that nobody can set, and the interruptions in which the watchdog did not run."""

import functools
import logging
import os
import time

from servermonitoring.values import in_words

TICKS = os.sysconf("SC_CLK_TCK")  # per second; the unit of a process's start in /proc/PID/stat


def uptime() -> float:
    """Return the seconds since the machine started, to a hundredth."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _of_container() else _of_kernel()


def _of_kernel() -> float:
    descriptor = os.open("/proc/uptime", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return float(os.read(descriptor, 64).split(b" ", 1)[0])
    finally:
        os.close(descriptor)


@functools.cache
def _of_container() -> bool:
    """Return whether another file is mounted on /proc/uptime: that of LXC counts from the container's start.

    Only then the clock is read, which a program may have faked for itself (libfaketime).
    """
    return os.stat("/proc/uptime").st_dev != os.stat("/proc/self/stat").st_dev  # noqa: PTH116 - pathlib costs 2 ms here


log = logging.getLogger(__name__)
_LONGEST_GAP = 3.0  # seconds between two checks; the daemon makes one a second
_MOST = 10  # interruptions in a row that start the time limits again; of later ones only the lost time counts
_RENEWED = 180.0  # seconds without interruption that allow one more


class Interruptions:
    """Detects that the watchdog did not run, when browsers could not be validated. Times are seconds of uptime."""

    def __init__(self, now: float) -> None:
        self._excused_until = 0.0
        self._last_at, self._last_cpu = now, time.process_time()
        self._allowance, self._uninterrupted = _MOST, 0.0

    def notice(self, now: float) -> float:
        """Return the uptime until which missing validations are excused. Must be called at least once a second."""
        passed, cpu = now - self._last_at, time.process_time()
        lost = passed - (cpu - self._last_cpu)
        self._last_at, self._last_cpu = now, cpu
        if lost > _LONGEST_GAP:
            log.info("the watchdog did not run for %s: the time limits count from now on", in_words(lost))
            self._excuse(now, lost)
        else:
            self._work(passed)
        return self._excused_until

    def _work(self, passed: float) -> None:
        self._uninterrupted += passed
        if self._uninterrupted >= _RENEWED:
            self._allowance, self._uninterrupted = min(_MOST, self._allowance + 1), 0.0

    def _excuse(self, now: float, lost: float) -> None:
        """Excuse all until now, or on a machine that is always late only the lost time: hung browsers must die."""
        self._uninterrupted = 0.0
        if self._allowance:
            self._allowance -= 1
            self._excused_until = now
        else:
            self._excused_until = min(now, self._excused_until + lost)
