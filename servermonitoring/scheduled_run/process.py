"""pytest in a process of its own: its last words, its exit status, and whether it recorded its end."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from servermonitoring.completion import VARIABLE, Completion

_MOST_KEPT = 100_000  # bytes of output: the last ones
_GRACE = 30.0  # seconds between SIGINT, at which a run records what it has, and SIGKILL
_PAUSE = 0.1  # seconds between two looks at whether it still runs
_LAST_READS = 100  # of what was written by then; a process left behind may go on writing


@dataclass(frozen=True)
class Ending:
    """How a process ended."""

    status: int = 0
    """Exit status; of one that was killed the negative number of the signal."""
    output: str = ""
    completion: Completion | None = None
    timed_out: bool = False
    stopped: bool = False
    """This command was itself told to end."""
    error: str = ""
    """Why the process could not even be started."""


class Process:
    """`Process(words, timeout).wait()`; it is in a session of its own, so that a signal to this one is no second."""

    def __init__(self, words: Sequence[str], timeout: float) -> None:
        """Raise OSError where it cannot be started."""
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the suite
                words, env={**os.environ, VARIABLE: str(writing)}, pass_fds=[writing], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        finally:
            os.close(writing)
        assert self._process.stdout
        self._read: dict[int, bytearray] = {self._process.stdout.fileno(): bytearray(), reading: bytearray()}
        self._output, self._completion = self._read.values()
        self._selector = selectors.SelectSelector()
        for descriptor in self._read:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._ends_at = time.monotonic() + timeout
        self._timed_out = self._stopped = self._interrupted = False

    def wait(self) -> Ending:
        """Wait until it ended, by itself or by the timeout."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        while self._process.poll() is None:
            self._gather(_PAUSE)
            if time.monotonic() > self._ends_at:
                self._end()
        for _ in range(_LAST_READS):
            if not self._gather(0):
                break
        if self._timed_out:
            self._kill()
        output = self._output.decode(errors="replace")
        done = Completion.parse(bytes(self._completion))
        return Ending(self._process.returncode, output, done, self._timed_out, self._stopped)

    def _gather(self, seconds: float) -> bool:
        ready = self._selector.select(seconds)
        for key, _ in ready:
            with contextlib.suppress(BlockingIOError):
                kept, data = self._read[key.fd], os.read(key.fd, 65536)
                if not data:
                    self._selector.unregister(key.fd)
                kept += data
                del kept[:-_MOST_KEPT]
        return bool(ready)

    def _stop(self, *_: Any) -> None:
        self._stopped = True
        self._ends_at = min(self._ends_at, time.monotonic())

    def _end(self) -> None:
        """First so that it records what it has, then at once."""
        if self._interrupted:
            self._kill()
            return
        self._interrupted, self._timed_out = True, not self._stopped
        self._ends_at = time.monotonic() + _GRACE
        self._process.send_signal(signal.SIGINT)

    def _kill(self) -> None:
        """With all that is in its group."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
