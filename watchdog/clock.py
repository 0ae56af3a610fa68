"""Time that no one can set: seconds since the machine started, sleep included.

It is read from the kernel, in the unit in which /proc tells when a process started, and any language can
read it too. A step of the system clock does not touch it.
"""

import os

TICKS = os.sysconf("SC_CLK_TCK")  # per second; the unit of a process's start in /proc/PID/stat


def uptime() -> float:
    """Seconds since the machine started, to a hundredth."""
    with open("/proc/uptime", "rb", buffering=0) as file:  # noqa: PTH123 - on the way of every look
        return float(file.read(64).split(b" ", 1)[0])
