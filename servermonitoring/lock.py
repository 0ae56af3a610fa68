"""One run at a time: a second one says who is running, and leaves."""

import fcntl
import os
import time
from pathlib import Path

from servermonitoring.values import in_words

EXIT_STATUS = 6


class AnotherRun(Exception):  # noqa: N818 - it names what was found
    """Another run holds the lock."""


class RunLock:
    """Held from the first probe to the end of the process; no child of a check inherits it.

    flock() belongs to every process that holds the open file: a child that a check forks gives it up at once, one
    that executes a program does by O_CLOEXEC. A POSIX record lock would not be inherited either, but is lost as soon
    as anything in this process opens and closes the file.
    """

    def __init__(self, directory: Path, name: str = "run.lock") -> None:
        self.path = directory / name
        self._descriptor: int | None = None

    def take(self) -> None:
        """Raises AnotherRun at once if one is alive, OSError where the file cannot be made."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 100).decode(errors="replace")
            os.close(descriptor)
            raise AnotherRun(_describe(holder)) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {time.time():.0f}".encode())
        self._descriptor = descriptor
        os.register_at_fork(after_in_child=self.release)

    def release(self) -> None:
        """Close this process's descriptor; the lock goes with the last one of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _describe(holder: str) -> str:
    try:
        pid, started = holder.split()
        age = in_words(max(0, round(time.time() - float(started))))
    except ValueError:
        return "another run of the health checks is alive"
    return f"another run of the health checks is alive: pid {pid}, for {age}"
