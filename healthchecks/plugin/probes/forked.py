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
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from healthchecks.plugin import signals
from healthchecks.plugin.probes.job import ProbeJob, current_job
from healthchecks.plugin.probes.message import Message, Reader, framed, readable
from healthchecks.plugin.probes.performer import Performer
from healthchecks.plugin.probes.processes import (
    call_and_exit,
    end_children,
    end_with_parent,
    inherit_orphans,
    resident,
)
from healthchecks.plugin.probes.streams import divert_streams, flush_streams
from healthchecks.plugin.probes.tester_process import LATE
from healthchecks.plugin.probes.worker_end import EndCause, outcome_of_death
from healthchecks.plugin.result import CheckError, ProbeTimeout
from servermonitoring.values import in_words

_INTERVAL = 0.05  # seconds between two measurements of its memory
_LONGEST_OUTPUT = 20_000  # bytes of what it printed last, outside of its standard streams
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
        self._output = b""

    def run(self, timeout: float, latest_end: float) -> Message:
        """Return what came of it. Raise what the child died of, or ProbeTimeout."""
        end = min(time.monotonic() + timeout, latest_end) + LATE
        result, printed = self._fork(timeout, latest_end)
        try:
            if job := current_job():
                job.clean_with(self.interrupt)
            return self._wait(result, printed, timeout, end)
        finally:
            self.kill()
            os.close(result)
            os.close(printed)

    def interrupt(self) -> None:
        """Have the child clean up and end; kill it if it does not."""
        end = time.monotonic() + _GRACE
        with contextlib.suppress(OSError):
            os.write(self._control, _INTERRUPT)
        while self._keeper and time.monotonic() < end:
            time.sleep(_INTERVAL)
        self.kill()

    def kill(self) -> None:
        """End the child, and everything below it."""
        keeper, self._keeper = self._keeper, 0
        if keeper:
            os.close(self._control)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(keeper, 0)

    def _fork(self, timeout: float, latest_end: float) -> tuple[int, int]:
        """Fork keeper and child; return the descriptors of messages and output."""
        result, writing = os.pipe2(os.O_CLOEXEC)
        printed, output = os.pipe2(os.O_CLOEXEC)
        control, self._control = os.pipe2(os.O_CLOEXEC)
        flush_streams()  # or the child would write it once more
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads
            try:
                self._keeper = os.fork()
            except OSError as error:
                raise CheckError(f"not run: the system gives no more processes: {error.strerror}") from None
        if self._keeper == 0:
            os.close(self._control)
            perform = partial(self._perform, writing, output, timeout, latest_end)
            call_and_exit(partial(_keep, perform, control, writing, output, self._settings.memory), output)
        for each in (writing, output, control):
            os.close(each)
        os.set_blocking(printed, False)
        return result, printed

    def _perform(self, writing: int, output: int, timeout: float, latest_end: float) -> None:
        """Make the call, in the child."""
        if not self._settings.keeps_streams:
            divert_streams(output)
        performer = Performer(self._settings.level, self._settings.handlers)
        message = performer.perform(0, ProbeJob(self._name, self._call, timeout), latest_end)
        self._complete(message)
        flush_streams()
        _write(writing, message)

    def _wait(self, result: int, printed: int, timeout: float, end: float) -> Message:
        reader, sources = Reader(), [result, printed]
        while (rest := end - time.monotonic()) > 0:
            ready = readable(sources, rest)
            if printed in ready and not self._read_output(printed):
                sources.remove(printed)
            if result in ready:
                messages = reader.read(result)
                if messages is None:
                    raise self._death(EndCause.DIED, None)
                if messages:
                    return self._outcome(messages[0])
        raise ProbeTimeout(f"no response within {in_words(timeout)}")

    def _outcome(self, message: Any) -> Message:
        if isinstance(message, ChildEnd):
            raise self._death(message.cause, message.status)
        assert isinstance(message, Message)
        return message

    def _read_output(self, printed: int) -> bool:
        """Keep the last of what is printed. Return False at the end."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(printed, 1 << 16)
            self._output = (self._output + data)[-_LONGEST_OUTPUT:]
            return bool(data)
        return True

    def _death(self, cause: EndCause, status: int | None) -> Exception:
        output = self._output.decode(errors="replace")
        return outcome_of_death(self._name, cause, status, self._settings.memory, output)


def _keep(perform: Callable[[], None], control: int, writing: int, output: int, memory: int) -> None:
    """Be the keeper of a child that performs."""
    signals.ignore_signals()
    inherit_orphans()
    keeper, child = os.getpid(), os.fork()
    if child == 0:
        end_with_parent(keeper)
        call_and_exit(perform, output)
    os.close(output)
    cause = _watch(child, control, memory)
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    end_children(_PATIENCE)
    with contextlib.suppress(OSError):  # nobody is there any more
        _write(writing, ChildEnd(cause, status))


def _watch(child: int, control: int, memory: int) -> EndCause:
    """Wait until the child has ended, uses too much memory, or is to be killed."""
    ended, most = os.pidfd_open(child), (resident(child) or 0) + memory
    poller = select.poll()
    for each in (ended, control):
        poller.register(each, select.POLLIN)
    while ended not in (ready := {each for each, _ in poller.poll(_INTERVAL * 1000)}):
        if control in ready:
            if not os.read(control, 1):
                return EndCause.DIED
            os.kill(child, signal.SIGALRM)
        if (resident(child) or 0) > most:
            return EndCause.MEMORY
    return EndCause.DIED


def _write(descriptor: int, message: object) -> None:
    data = framed(message)
    while data:
        data = data[os.write(descriptor, data) :]
