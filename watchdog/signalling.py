"""Signals that reach the process that was meant, and no later one with the same pid.

A descriptor is held only for the moment of one signal, so that no number of processes needs many of them.
"""

import os
import signal

from watchdog import processes
from watchdog.processes import Process


def send(process: Process, number: int) -> None:
    """Send a signal. Raises ProcessLookupError if it is gone, PermissionError if this user may not end it."""
    descriptor = os.pidfd_open(process.pid)  # from now on no other process can have the pid
    try:
        if not processes.alive(process.pid, process.start):
            raise ProcessLookupError(f"process {process.pid} is gone")
        signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def may_end(process: Process) -> bool:
    """Whether this user may end it; true for one that is gone, as nothing stands in the way."""
    try:
        send(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True
