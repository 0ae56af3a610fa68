"""The workers of a run, given jobs, examined, and replaced when they die; and the tester, replaced as well."""

import contextlib
import selectors
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from healthchecks.plugin.probes.board import Board
from healthchecks.plugin.probes.forked_process import INTERVAL
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.message import Message
from healthchecks.plugin.probes.spawner import ENDED, STARTED, RunProcess, Spawner
from healthchecks.plugin.probes.tester_process import TesterProcess
from healthchecks.plugin.probes.worker_end import EndCause, WorkerEnd, outcome_of_death
from healthchecks.plugin.probes.worker_process import WorkerProcess
from healthchecks.plugin.result import NotProbed
from servermonitoring import clock

MOST = 64  # workers: pulses that the board has
_MOST_ALONE = 8  # workers for one job each, at a time
_PATIENCE = 4.0  # seconds for workers to clean up, and then for the spawner to end what they left
_NO_PROCESSES = "not probed: the system gives no more processes"
_NO_SPAWNER = "not probed: the process that runs the probes was killed"


class JobOwner(Protocol):
    """Who gives the jobs, and gets back what came of them."""

    def receive(self, number: int, message: Message) -> None:
        """Take what came of a job."""

    def finish(self, number: int, error: Exception | None) -> None:
        """Take why a job has failed; None if its timeout is over."""

    def take_back(self, number: int, *, alone: bool, keeps_end: bool) -> None:
        """Have a job probed again."""


@dataclass(frozen=True)
class WorkerLimits:
    """For all workers."""

    count: int
    """Shared workers."""
    slots: int
    """Jobs of each of them."""
    memory: int
    """Bytes that each may use besides what it has from the pytest process."""


class Workers:
    """Not thread-safe: its owner has a lock."""

    def __init__(self, owner: JobOwner, limits: WorkerLimits, board: Board, run_process: RunProcess) -> None:
        """Fork the spawner, which forks the workers. Raise OSError if the system gives no process."""
        self._owner, self._limits, self._board = owner, limits, board
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, WorkerProcess] = {}
        self._testers: dict[int, TesterProcess] = {}  # until their end is reported
        self._tester: TesterProcess | None = None
        self._is_closing = False
        self._next_examination = 0.0
        self.refusal = ""  # why no more probes can run
        self._spawner = Spawner(run_process)
        self._selector.register(self._spawner.socket, selectors.EVENT_READ, self._take_report)
        for _ in range(limits.count):
            self._add()

    def watch(self, source: int, callback: Callable[[], None]) -> None:
        """Call this when the descriptor can be read."""
        self._selector.register(source, selectors.EVENT_READ, callback)

    def wait(self, seconds: float | None = None) -> list[Callable[[], None]]:
        """Wait for something to happen, by default until the next examination; return what is then to be called."""
        if seconds is None:
            seconds = max(0.0, self._next_examination - clock.monotonic())
        return [partial(self._call, key) for key, _ in self._selector.select(seconds)]

    def has_room(self) -> bool:
        """Return whether a shared worker has a slot left."""
        return self._freest() is not None

    def has_room_alone(self) -> bool:
        return sum(each.alone is not None for each in self._workers.values()) < _MOST_ALONE

    def order(self, number: int, job: ProbeJob, latest_end: float) -> None:
        """Have a job run in the worker that has the fewest."""
        worker = self._freest()
        assert worker is not None
        worker.order(number, job, latest_end)

    def order_alone(self, number: int, job: ProbeJob, latest_end: float) -> None:
        """Have a job run in a worker of its own."""
        worker = self._add(alone=number)
        if worker is None:
            self._owner.finish(number, NotProbed(_NO_PROCESSES))
        else:
            worker.order(number, job, latest_end)

    def flush(self) -> None:
        for worker in self._workers.values():
            worker.flush()

    def examine(self) -> None:
        """Kill those with a fault: every INTERVAL, not with each message, since it examines all of their jobs."""
        if clock.monotonic() < self._next_examination:
            return
        self._next_examination = clock.monotonic() + INTERVAL
        for worker in [*self._workers.values()]:
            if cause := worker.fault():
                worker.kill(cause)
                self._release_jobs(worker, None)

    def jobs(self) -> Iterator[tuple[int, ProbeJob]]:
        """Yield the jobs under way, with their numbers."""
        for worker in self._workers.values():
            yield from worker.jobs.items()

    def tester(self) -> TesterProcess:
        """Return the process for assertions of tests; a new one if the last one is gone."""
        if self._tester is None or not self._tester.is_usable:
            if self._tester is not None:
                self._tester.close()
            number = -1 - _lowest_free(self._testers, lambda number: -1 - number)
            self._tester = self._testers[number] = TesterProcess(number, self._spawner, self._limits.memory)
        return self._tester

    def close(self) -> None:
        """Let the workers clean up, then end what is left of them."""
        self._is_closing = True
        if self._tester is not None:
            self._tester.close()
        for worker in self._workers.values():
            worker.end()
        end = clock.monotonic() + _PATIENCE
        while self._workers and clock.monotonic() < end:
            for call in self.wait(0.05):
                call()
        self._spawner.end(_PATIENCE)

    def _call(self, key: selectors.SelectorKey) -> None:
        """Call what belongs to a source, unless an earlier call has closed that."""
        if self._selector.get_map().get(key.fd) is key:
            key.data()

    def _add(self, alone: int | None = None) -> WorkerProcess | None:
        number = _lowest_free(self._workers, lambda number: number)
        try:
            worker = WorkerProcess(number, self._spawner, self._limits.memory, self._board, alone)
        except OSError:
            return None
        self._workers[number] = worker
        self._selector.register(worker.channel, selectors.EVENT_READ, lambda: self._receive(worker))
        self._selector.register(worker.printed, selectors.EVENT_READ, lambda: self._read_output(worker))
        return worker

    def _freest(self) -> WorkerProcess | None:
        usable = [each for each in self._shared() if each.cause is None]
        worker = min(usable, key=lambda each: len(each.jobs), default=None)
        return worker if worker is not None and len(worker.jobs) < self._limits.slots else None

    def _shared(self) -> list[WorkerProcess]:
        return [each for each in self._workers.values() if each.alone is None]

    def _receive(self, worker: WorkerProcess) -> None:
        messages = worker.receive()
        if messages is None:
            self._selector.unregister(worker.channel)
            return
        for message in messages:
            self._owner.receive(message.job, message)
        if worker.alone is not None and not worker.jobs:
            worker.end()

    def _read_output(self, worker: WorkerProcess) -> None:
        if not worker.read_output():
            self._selector.unregister(worker.printed)

    def _take_report(self) -> None:
        report = self._spawner.report()
        if report is None:
            self._selector.unregister(self._spawner.socket)
            self._lose_spawner()
            return
        what, number, value = report
        if tester := self._testers.get(number):
            self._note_tester(what, tester, value)
        elif worker := self._workers.get(number):
            if what == STARTED:
                worker.pid = value
            elif what == ENDED:
                self._bury(worker, value)
            else:
                self._refuse(worker)

    def _note_tester(self, what: bytes, tester: TesterProcess, value: int) -> None:
        if what == STARTED:
            tester.pid = value
        else:
            tester.status = value
            tester.ended.set()
            self._testers.pop(tester.number)

    def _refuse(self, worker: WorkerProcess) -> None:
        """Give its jobs to others, if there are any: the system gives no process for it."""
        numbers = [*worker.jobs]
        worker.jobs.clear()
        self._forget(worker)
        if not self._shared():
            self.refusal = _NO_PROCESSES
        for number in numbers:
            if worker.alone is None and not self.refusal:
                self._owner.take_back(number, alone=False, keeps_end=False)
            else:
                self._owner.finish(number, NotProbed(_NO_PROCESSES))

    def _bury(self, worker: WorkerProcess, status: int) -> None:
        """Settle what an ended worker sent last and what becomes of its jobs, and put another one in its place."""
        while messages := worker.receive():
            for message in messages:
                self._owner.receive(message.job, message)
        worker.read_output()
        self._release_jobs(worker, status)
        self._forget(worker)
        if worker.alone is None and not self._is_closing:
            self._add()

    def _forget(self, worker: WorkerProcess) -> None:
        self._workers.pop(worker.number)
        for source in (worker.channel, worker.printed):
            with contextlib.suppress(KeyError):
                self._selector.unregister(source)
        worker.close()

    def _release_jobs(self, worker: WorkerProcess, status: int | None) -> None:
        """Give each job of a worker that is gone its outcome, or have it probed again."""
        cause = worker.cause or EndCause.DIED
        end = WorkerEnd(cause, sum(map(worker.has_started, worker.jobs)), worker.culprit, worker.overdue)
        for number, job in [*worker.jobs.items()]:
            worker.jobs.pop(number)
            outcome = outcome_of_death(job.name, cause, status, self._limits.memory, worker.output)
            fate = end.fate_of(number, outcome, has_started=worker.has_started(number))
            if fate.is_final:
                self._owner.finish(number, fate.error)
            else:
                self._owner.take_back(number, alone=fate.is_alone, keeps_end=fate.keeps_end)

    def _lose_spawner(self) -> None:
        """End all jobs: the spawner is gone, and all workers with it, since somebody has killed it."""
        self.refusal = _NO_SPAWNER
        for worker in self._workers.values():
            for number in worker.jobs:
                self._owner.finish(number, NotProbed(_NO_SPAWNER))
            worker.jobs.clear()


def _lowest_free(taken: Mapping[int, object], number_of: Callable[[int], int]) -> int:
    """Return the lowest index whose number is free: a number is taken until the end of its process is reported."""
    return next(index for index in range(len(taken) + 1) if number_of(index) not in taken)
