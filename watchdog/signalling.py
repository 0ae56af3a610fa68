"""Signals that reach the process that was meant, and no later one with the same pid."""

import contextlib
import os
import select
import signal

from watchdog import processes
from watchdog.processes import Process


class Handle:
    """Holds on to one process. Close it."""

    def __init__(self, process: Process) -> None:
        """Raises ProcessLookupError if it is gone, PermissionError if this user may not end it."""
        self.process = process
        self._descriptor = os.pidfd_open(process.pid)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """After the pid was taken hold of: from now on nothing else can have it."""
        if not processes.alive(self.process.pid, self.process.start):
            raise ProcessLookupError(f"process {self.process.pid} is gone")
        signal.pidfd_send_signal(self._descriptor, 0)

    def send(self, number: int) -> None:
        """Send a signal; one that has ended meanwhile hears nothing."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def ended(self) -> bool:
        """Whether it has ended, collected by its parent or not."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        os.close(self._descriptor)


def may_end(process: Process) -> bool:
    """Whether this user may end it; true for one that is gone, as nothing stands in the way."""
    try:
        Handle(process).close()
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True
