"""pytest in a process of its own: its last words, its exit status, and why it was no run that recorded its end."""

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


_FINISHED = (0, 1)  # pytest's statuses of a run that finished, whether its checks pass or fail
_CANNOT_START, _TIMED_OUT, _SIGNALLED = 127, 124, 128  # as shells and timeout(1) have them


@dataclass(frozen=True)
class Fault:
    """What went wrong, for people; and what the scheduled command makes of it."""

    text: str
    status: int
    """Exit status of the command."""
    is_alerted: bool = False
    """By the suite itself."""

    @classmethod
    def of(cls, ending: Ending, timeout: float) -> "Fault | None":
        """None for a run that finished and recorded its end."""
        status = ending.status
        if ending.error:
            return cls(f"the run could not be started: {ending.error}", _CANNOT_START)
        if ending.timed_out:
            return cls(f"the run did not end within {timeout:g} s, and was ended", _TIMED_OUT)
        if status < 0:
            return cls(f"the run was killed by {_signal_name(-status)}", _SIGNALLED - status)
        if ending.completion is None:
            text = f"the run ended with exit status {status} before it had recorded anything"
            return cls(text, max(1, status))
        return cls._recorded(ending.completion, status)

    @classmethod
    def _recorded(cls, completion: Completion, status: int) -> "Fault | None":
        if completion.status not in _FINISHED or status not in _FINISHED:
            text = f"the run was cut off with exit status {status}: not all checks were made"
            return cls(text, max(1, status))
        if problems := completion.problems:
            text = f"the run finished, but could not store, show or send all of it: {'; '.join(problems.values())}"
            return cls(text, 1, is_alerted="alerts" not in problems)
        return None

    @property
    def kind(self) -> str:
        """The same for what need not be alerted twice; without what differs from run to run."""
        return f"{self.text.partition(':')[0]} ({self.status})"


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
