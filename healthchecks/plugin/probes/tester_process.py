"""The tester as the pytest process sees it: a test is handed over, and waited for within a bound."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from healthchecks.plugin.probes.forked_process import INTERVAL, LATE, ForkedProcess
from healthchecks.plugin.probes.message import Message, framed
from healthchecks.plugin.probes.tester import Assignment
from healthchecks.plugin.probes.worker_end import EndCause, out_of_memory, outcome_of_death
from healthchecks.plugin.result import NotProbed, ProbeTimeout
from servermonitoring.values import in_words

if TYPE_CHECKING:
    from healthchecks.plugin.probes.spawner import Spawner

_PATIENCE = 1.0  # seconds for the report of its end


class TesterProcess(ForkedProcess):
    """One tester; when it has been killed, or died, there must be another one."""

    def __init__(self, number: int, spawner: "Spawner", memory: int) -> None:
        super().__init__(memory)
        self.number, self.is_usable = number, True
        self.status = 0  # from its end
        self.ended = threading.Event()
        self._spawner = spawner
        with self.its_ends() as (channel, output):
            spawner.fork(number, channel, output)

    def run(self, assignment: Assignment, name: str, check_end: Callable[[], None]) -> Message:
        """Return what came of a test. Raise what it died of, ProbeTimeout, or what `check_end` raises, called often."""
        try:
            message = self._run(assignment, check_end)
        except BaseException as error:
            self._end(interrupted=not isinstance(error, Exception))
            raise
        if message is None:
            raise self._death(name)
        return message

    def _run(self, assignment: Assignment, check_end: Callable[[], None]) -> Message | None:
        end = min(time.monotonic() + assignment.timeout, assignment.latest_end) + LATE
        with contextlib.suppress(OSError):  # it is gone, as is seen next
            self.channel.sendall(framed(assignment))
        while (messages := self._messages(end)) == []:
            check_end()
            if time.monotonic() > end:
                raise ProbeTimeout(f"no response within {in_words(assignment.timeout)}")
            if self.uses_too_much():
                raise out_of_memory(self._memory)
        return messages[-1] if messages else None

    def _end(self, *, interrupted: bool) -> None:
        """Kill it with all that it started; an interrupted test may clean up first."""
        self.is_usable = False
        if interrupted and self.pid:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGALRM)
            self._messages(time.monotonic() + _PATIENCE)
        self._spawner.kill(self.number)

    def _messages(self, end: float) -> list[Message] | None:
        return self.wait(min(INTERVAL, end - time.monotonic()))

    def _death(self, name: str) -> Exception:
        self.is_usable = False
        self.ended.wait(_PATIENCE)
        self.read_output()
        if not self.pid:
            return NotProbed("not run: the system gives no more processes")
        return outcome_of_death(name, EndCause.DIED, self.status, self._memory, self.output)
