"""The tester as the pytest process sees it: tests are handed over, and waited for one by one within a bound."""

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from healthchecks.plugin.probes.forked_process import INTERVAL, LATE, ForkedProcess
from healthchecks.plugin.probes.message import Message, framed
from healthchecks.plugin.probes.tester import Assignment
from healthchecks.plugin.probes.worker_end import EndCause, out_of_memory, outcome_of_death
from healthchecks.plugin.result import NotProbed, ProbeTimeout
from servermonitoring import clock
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
        self._given: deque[Assignment] = deque()
        self._answers: deque[Message] = deque()  # to the first of them
        with self.its_ends() as (channel, output):
            spawner.fork(number, channel, output)

    @property
    def next(self) -> Assignment | None:
        """What `take` returns the message of."""
        return self._given[0] if self._given else None

    def give(self, assignments: Sequence[Assignment]) -> None:
        """Hand over tests, to be run in this order. More than one only if they fit into the channel together."""
        self._given.extend(assignments)
        with contextlib.suppress(OSError):  # it is gone, as is seen next
            self.channel.sendall(b"".join(framed(each) for each in assignments))

    def take(self, name: str, check_end: Callable[[], None]) -> Message:
        """Return what came of the next test that was given.

        Raise what it died of, ProbeTimeout, or what `check_end` raises, called often; then it is not usable any more.
        """
        assignment = self._given.popleft()
        if self._answers:
            return self._answers.popleft()
        try:
            is_alive = self._await_answer(assignment, check_end)
        except BaseException as error:
            self._end(interrupted=not isinstance(error, Exception))
            raise
        if not is_alive:
            raise self._death(name)
        return self._answers.popleft()

    def _await_answer(self, assignment: Assignment, check_end: Callable[[], None]) -> bool:
        """Return whether it has answered; False when it is gone."""
        end = min(clock.monotonic() + assignment.timeout, assignment.latest_end) + LATE
        while not self._answers:
            messages = self._messages(end)
            if messages is None:
                return False
            self._answers.extend(messages)
            if not messages:
                check_end()
                self._check_bounds(assignment, end)
        return True

    def _check_bounds(self, assignment: Assignment, end: float) -> None:
        if clock.monotonic() > end:
            raise ProbeTimeout(f"no response within {in_words(assignment.timeout)}")
        if self.uses_too_much():
            raise out_of_memory(self._memory)

    def _end(self, *, interrupted: bool) -> None:
        """Kill it with all that it started; an interrupted test may clean up first."""
        self.is_usable = False
        if interrupted and self.pid:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGALRM)
            self._messages(clock.monotonic() + _PATIENCE)
        self._spawner.kill(self.number)

    def _messages(self, end: float) -> list[Message] | None:
        return self.wait(min(INTERVAL, end - clock.monotonic()))

    def _death(self, name: str) -> Exception:
        self.is_usable = False
        self.ended.wait(_PATIENCE)
        self.read_output()
        if not self.pid:
            return NotProbed("not run: the system gives no more processes")
        return outcome_of_death(name, EndCause.DIED, self.status, self._memory, self.output)
