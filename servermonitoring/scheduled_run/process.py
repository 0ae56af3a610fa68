"""Supervised pytest process: its output, exit status and fault, and the end of the run that it reports.

The suite sends that end through a pipe, which needs no disk.
"""

import contextlib
import json
import os
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from servermonitoring.scrubbing import scrub

_VARIABLE = "SERVERMONITORING_COMPLETION"  # the number of the pipe's writing end
_MOST_KEPT = 100_000  # bytes of output: the last ones
_GRACE = 30.0  # seconds between SIGINT, at which a run records what it has, and SIGKILL
_PAUSE = 0.1  # seconds between two checks whether it still runs
_LAST_READS = 100  # after the end; a process that outlives it may go on writing


@dataclass(frozen=True)
class Completion:
    """A run that has recorded its end."""

    status: int
    """pytest's exit status."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Part of the suite → why it could not store, show or send its results."""

    @classmethod
    def parse(cls, data: bytes) -> "Completion | None":
        """Return what was sent; None if it is incomplete."""
        try:
            document = json.loads(data)
            return cls(int(document["status"]), {str(key): str(text) for key, text in document["problems"].items()})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


@dataclass(frozen=True)
class RunEnd:
    """How the process ended."""

    status: int = 0
    """Exit status; for a killed process the negative number of the signal."""
    output: str = ""
    completion: Completion | None = None
    timed_out: bool = False
    stopped: bool = False
    """This command itself received a signal to end."""
    error: str = ""
    """Why the process could not be started."""


class RunProcess:
    """pytest in a session of its own, so that a signal to this command's group does not reach it twice."""

    def __init__(self, words: Sequence[str], timeout: float) -> None:
        """Start the process; `timeout` in seconds. Raise OSError if it cannot be started."""
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the suite
                words, env={**os.environ, _VARIABLE: str(writing)}, pass_fds=[writing], start_new_session=True,
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

    def wait(self) -> RunEnd:
        """Wait until it ends by itself or by the timeout."""
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
        return RunEnd(self._process.returncode, output, done, self._timed_out, self._stopped)

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
        """Interrupt the run, so that it records what it has; kill it at the second call."""
        if self._interrupted:
            self._kill()
            return
        self._interrupted, self._timed_out = True, not self._stopped
        self._ends_at = time.monotonic() + _GRACE
        self._process.send_signal(signal.SIGINT)

    def _kill(self) -> None:
        """Kill all processes of its group."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)


_FINISHED = (0, 1)  # pytest's exit statuses of a finished run: all passed, some failed
_CANNOT_START, _TIMED_OUT, _SIGNALLED = 127, 124, 128  # as shells and timeout(1) use them


@dataclass(frozen=True)
class Fault:
    """Why a run is not a success, and the exit status of the command for it."""

    text: str
    status: int
    """Exit status of the command."""
    is_alerted: bool = False
    """Whether the suite itself sends the alert."""

    @classmethod
    def of(cls, ending: RunEnd, timeout: float) -> "Fault | None":
        """Return the fault; None for a run that finished and recorded its end."""
        status = ending.status
        if ending.error:
            return cls(f"the run could not be started: {ending.error}", _CANNOT_START)
        if ending.timed_out:
            return cls(f"the run exceeded its timeout of {timeout:g} s and was stopped", _TIMED_OUT)
        if status < 0:
            return cls(f"the run was killed by {_signal_name(-status)}", _SIGNALLED - status)
        if ending.completion is None:
            text = f"the run ended with exit status {status} before it recorded any result"
            return cls(text, max(1, status))
        return cls._recorded(ending.completion, status)

    @classmethod
    def _recorded(cls, completion: Completion, status: int) -> "Fault | None":
        if completion.status not in _FINISHED or status not in _FINISHED:
            text = f"the run was interrupted with exit status {status}: not all checks were run"
            return cls(text, max(1, status))
        if problems := completion.problems:
            text = f"the run finished but could not store, show or send all results: {'; '.join(problems.values())}"
            return cls(text, 1, is_alerted="alerts" not in problems)
        return None

    @property
    def kind(self) -> str:
        """The fault without what differs from run to run: one kind is not alerted twice."""
        return f"{self.text.partition(':')[0]} ({self.status})"


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


_LONGEST = 1000  # characters of one problem

_descriptor: int | None = None


def claim_pipe() -> None:
    """Remove the pipe from the environment of the suite, so that no process of a check holds it open."""
    global _descriptor  # noqa: PLW0603 - a process has one such pipe
    number = os.environ.pop(_VARIABLE, "")
    if not number.isdecimal():
        return
    try:
        if stat.S_ISFIFO(os.fstat(int(number)).st_mode):
            os.set_inheritable(int(number), False)
            _descriptor = int(number)
    except (OSError, OverflowError):
        return


def announce_end(status: int, problems: Mapping[str, str]) -> None:
    """Send the end of the suite's run, once; do nothing without a pipe."""
    global _descriptor  # noqa: PLW0603
    if _descriptor is None:
        return
    texts = {part: scrub(text)[:_LONGEST] for part, text in problems.items()}
    try:
        os.write(_descriptor, json.dumps({"status": status, "problems": texts}).encode())
        os.close(_descriptor)
    except OSError:  # the command is gone
        pass
    _descriptor = None
