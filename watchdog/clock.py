"""Time that no one can set: seconds since the machine started, sleep included.

It is read from the kernel, in the unit in which /proc tells when a process started, and any language can
read it too. A step of the system clock does not touch it.
"""

import functools
import os
import time

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
