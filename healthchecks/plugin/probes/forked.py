"""One call in a forked child of the pytest process: a test with fixtures, whose state only this process has.

Two processes are forked: one that makes the call, and its keeper. The keeper ends the call, and everything that it has
started, when the call is over, uses too much memory, or the pytest process asks for it or is gone. Only what came of
the call comes back, bounded: its outcome, what it logged, printed and attached.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from healthchecks.plugin import signals
from healthchecks.plugin.probes.execution import Performer
from healthchecks.plugin.probes.forked_process import INTERVAL, LATE, ForkedProcess
from healthchecks.plugin.probes.job import ProbeJob, current_job
from healthchecks.plugin.probes.job_output import divert_streams, flush_streams
from healthchecks.plugin.probes.message import Message, framed
from healthchecks.plugin.probes.processes import (
    call_and_exit,
    end_children,
    end_with_parent,
    inherit_orphans,
)
from healthchecks.plugin.probes.worker_end import EndCause, outcome_of_death
from healthchecks.plugin.result import CheckError, ProbeTimeout
from servermonitoring import clock
from servermonitoring.values import in_words

_GRACE = 1.0  # seconds for an interrupted test to clean up
_PATIENCE = 5.0  # seconds for processes that do not die
_INTERRUPT = b"i"  # to the keeper; the end of the pipe means: kill


@dataclass(frozen=True)
class ChildSettings:
    """What a child keeps of the process that it was forked from, and how much memory it may use besides that."""

    memory: int
    """In bytes."""
    level: int
    """Of the root logger."""
    handlers: Sequence[logging.Handler]
    """Of the root logger that remain."""
    keeps_streams: bool
    """Whether what it prints goes where this process prints."""


@dataclass(frozen=True)
class ChildEnd:
    """From the keeper: the child is gone, and has sent nothing more."""

    cause: EndCause
    status: int
    """As subprocess has it."""


class ForkedCall:
    """A call in a child of its own. `complete` adds what else is to come back to its message."""

    def __init__(
        self, name: str, call: Callable[[], object], settings: ChildSettings, complete: Callable[[Message], None]
    ) -> None:
        self._name, self._call, self._settings, self._complete = name, call, settings, complete
        self._keeper = self._control = 0  # pid and descriptor

    def run(self, timeout: float, latest_end: float) -> Message:
        """Return what came of it. Raise what the child died of, or ProbeTimeout."""
        end = min(clock.monotonic() + timeout, latest_end) + LATE
        process = ForkedProcess(self._settings.memory)
        try:
            self._fork(process, timeout, latest_end)
            if job := current_job():
                job.clean_with(self.interrupt)
            return self._wait(process, timeout, end)
        finally:
            self.kill()
            process.close()

    def interrupt(self) -> None:
        """Have the child clean up and end; kill it if it does not."""
        end = clock.monotonic() + _GRACE
        with contextlib.suppress(OSError):
            os.write(self._control, _INTERRUPT)
        while self._keeper and clock.monotonic() < end:
            clock.sleep(INTERVAL)
        self.kill()

    def kill(self) -> None:
        """End the child, and everything below it."""
        keeper, self._keeper = self._keeper, 0
        if keeper:
            os.close(self._control)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(keeper, 0)

    def _fork(self, process: ForkedProcess, timeout: float, latest_end: float) -> None:
        """Fork keeper and child. Raise CheckError if the system gives no process."""
        flush_streams()  # or the child would write it once more
        with process.its_ends() as ends:
            control, self._control = os.pipe2(os.O_CLOEXEC)
            try:
                self._keeper = _fork_with_threads()
            except OSError as error:
                os.close(control)
                os.close(self._control)
                raise CheckError(f"not run: the system gives no more processes: {error.strerror}") from None
            if self._keeper == 0:
                os.close(self._control)
                perform = partial(self._perform, *ends, timeout, latest_end)
                call_and_exit(partial(_keep, perform, control, process, ends), ends[1])
        os.close(control)

    def _perform(self, channel: socket.socket, output: int, timeout: float, latest_end: float) -> None:
        """Make the call, in the child."""
        if not self._settings.keeps_streams:
            divert_streams(output)
        performer = Performer(self._settings.level, self._settings.handlers)
        message = performer.perform(0, ProbeJob(self._name, self._call, timeout), latest_end)
        self._complete(message)
        flush_streams()
        channel.sendall(framed(message))

    def _wait(self, process: ForkedProcess, timeout: float, end: float) -> Message:
        while (rest := end - clock.monotonic()) > 0:
            messages = process.wait(rest)
            if messages is None:
                raise self._death(EndCause.DIED, None, process.output)
            if messages:
                return self._outcome(messages[0], process.output)
        raise ProbeTimeout(f"no response within {in_words(timeout)}")

    def _outcome(self, message: Any, output: str) -> Message:
        if isinstance(message, ChildEnd):
            raise self._death(message.cause, message.status, output)
        assert isinstance(message, Message)
        return message

    def _death(self, cause: EndCause, status: int | None, output: str) -> Exception:
        return outcome_of_death(self._name, cause, status, self._settings.memory, output)


def _fork_with_threads() -> int:
    """Fork this process, which has threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _keep(perform: Callable[[], None], control: int, process: ForkedProcess, ends: tuple[socket.socket, int]) -> None:
    """Be the keeper of a child that performs. `ends`: of its channel and output."""
    process.close()  # or the channel would have a reader when the run is gone
    channel, output = ends
    signals.ignore_signals()
    inherit_orphans()
    keeper, child = os.getpid(), os.fork()
    if child == 0:
        end_with_parent(keeper)
        call_and_exit(perform, output)
    os.close(output)
    process.pid = child
    cause = _watch(process, control)
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    end_children(_PATIENCE)
    with contextlib.suppress(OSError):  # nobody is there any more
        channel.sendall(framed(ChildEnd(cause, status)))


def _watch(process: ForkedProcess, control: int) -> EndCause:
    """Wait until the child has ended, uses too much memory, or is to be killed."""
    ended = os.pidfd_open(process.pid)
    poller = select.poll()
    for each in (ended, control):
        poller.register(each, select.POLLIN)
    while ended not in (ready := {each for each, _ in poller.poll(INTERVAL * 1000)}):
        if control in ready:
            if not os.read(control, 1):
                return EndCause.DIED
            os.kill(process.pid, signal.SIGALRM)
        if process.uses_too_much():
            return EndCause.MEMORY
    return EndCause.DIED
