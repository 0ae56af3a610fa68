"""The probes of one run, distributed over workers: an outage of N targets costs one timeout, not N.

A thread gives the jobs out and collects what came of them.
"""

import contextlib
import os
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from healthchecks.plugin.probes.board import Board
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.message import Message
from healthchecks.plugin.probes.tester import TesterSettings, run_tester
from healthchecks.plugin.probes.tester_process import TesterProcess
from healthchecks.plugin.probes.worker import PlannedProbe, WorkerSettings, run_worker
from healthchecks.plugin.probes.workers import MOST, WorkerLimits, Workers
from healthchecks.plugin.result import NotProbed, ProbeTimeout
from healthchecks.plugin.surroundings import PoolLimits
from servermonitoring import clock, threads
from servermonitoring.values import in_words

if TYPE_CHECKING:
    import pytest

    from healthchecks.plugin.configuration.target import Target
    from healthchecks.plugin.probes.fixture import Probe

_PATIENCE = 5.0  # seconds beyond the run's timeout, after which the dispatcher itself must be broken
_LAST_PATIENCE = 10.0  # seconds for the dispatcher to end everything
_FEW = 4  # probes for which one worker is enough
_MOST_RETURNS = 3  # times that a job is probed again in a worker of its own


class Pool:
    """All probes of one run; `timeout` is the run's, in seconds. Probe and target have a number, as has their job."""

    def __init__(self, limits: PoolLimits, timeout: float, workers: int, memory: int) -> None:
        self.limits, self.timeout = limits, timeout
        self.ends_at = clock.monotonic() + timeout
        self._count, self._memory = workers, memory
        self._planned: list[PlannedProbe] = []
        self._numbers: dict[object, int] = {}  # probe and target → number
        self._items: dict[pytest.Item, int] = {}
        self._jobs: dict[int, ProbeJob] = {}
        self._queue: list[int] = []
        self._queue_alone: list[tuple[int, float]] = []  # for workers of their own, with their latest ends
        self._returns: Counter[int] = Counter()
        self._lanes: Counter[object] = Counter()
        self._board = Board(0, MOST)
        self._workers: Workers | None = None
        self._lock = threading.RLock()
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._dispatcher: threading.Thread | None = None
        self._refusal = "not probed: the run has no workers"
        self._closed = False

    def plan(self, probe: "Probe", target: "Target") -> None:
        """Make the probe of this target known, before `start`."""
        if self._numbers.setdefault(_key(probe, target), len(self._planned)) == len(self._planned):
            self._planned.append(PlannedProbe(probe, target))

    def start(self, items: Sequence["pytest.Item"], level: int) -> None:
        """Fork the workers: before the run has threads. `items`: the tests; `level`: the root logger's."""
        self._items = {item: index for index, item in enumerate(items)}
        self._board = Board(len(self._planned), MOST)
        count = min(self._count, -(-len(self._planned) // _FEW))
        if not count:
            return
        limits = PoolLimits(-(-self.limits.slots // count), -(-self.limits.threads // count))
        settings = WorkerSettings(self._planned, self._board, limits, self.ends_at, level)
        run_process = partial(_run_process, settings, TesterSettings([*items], level))
        try:
            self._workers = Workers(self, WorkerLimits(count, limits.slots, self._memory), self._board, run_process)
        except OSError:
            self._refusal = "not probed: the system gives no more processes"
            return
        self._workers.watch(self._woken, self._wake_up)
        self._dispatcher = threads.start(self._dispatch, self._workers, name="healthchecks")
        if self._dispatcher is None:
            self._refusal = "not probed: the system gives no more threads"

    def submit(self, probe: "Probe", target: "Target") -> ProbeJob:
        """Return the job of this probe of this target; the same one for every test that asks for it."""
        number = self._numbers.get(_key(probe, target))
        with self._lock:
            if number is None:
                return _refused(PlannedProbe(probe, target), "not probed: ask for it by name, in test or fixture")
            if number not in self._jobs:
                self._jobs[number] = self._enqueue(number)
            return self._jobs[number]

    def again(self, probe: "Probe", target: "Target") -> None:
        """Run the probe again, for a retry; whoever asks next gets the new job."""
        with self._lock:
            self._jobs.pop(self._numbers.get(_key(probe, target), -1), None)
        self.submit(probe, target)

    def wait(self, job: ProbeJob) -> Any:
        """Return its value, pickled. Raise what the probe raised, ProbeTimeout, or NotProbed."""
        if not job.done.wait(max(0.0, self.ends_at - clock.monotonic()) + _PATIENCE):
            job.end(None, NotProbed("the thread that starts the probes of this run died"))
        return job.result()

    def waiting(self) -> tuple[int, float]:
        """Return how many jobs are still awaited, and for how many seconds at most."""
        with self._lock:
            queued = len(self._queue) + len(self._queue_alone)
            ends = [self._end_of(number, job) for number, job in self._workers.jobs()] if self._workers else []
            latest = self.ends_at if queued else max(ends, default=0.0)
            return len(ends) + queued, max(0.0, latest - clock.monotonic())

    def index(self, item: "pytest.Item") -> int:
        """Return the number by which the tester knows a test."""
        return self._items[item]

    def tester(self) -> TesterProcess:
        """Return the process for the assertions of tests. Raise NotProbed if there can be none."""
        with self._lock:
            if self._workers is None:
                raise NotProbed(self._refusal)
            return self._workers.tester()

    def close(self) -> None:
        """Start nothing more, and clean up after what is still under way."""
        self._closed = True
        self._notify()
        if self._dispatcher is not None:
            self._dispatcher.join(_LAST_PATIENCE)

    def receive(self, number: int, message: Message) -> None:
        """Take what came of a job."""
        message.unpack_into(self._jobs[number])
        self._leave_lane(number)

    def finish(self, number: int, error: Exception | None) -> None:
        """Take why a job has failed; None if its timeout is over."""
        job = self._jobs[number]
        job.started = self._board.started(number) or None
        job.end(None, error or self._overdue(number))
        self._leave_lane(number)

    def take_back(self, number: int, *, alone: bool, keeps_end: bool) -> None:
        """Have a job probed again, `alone`: in a worker of its own; `keeps_end`: its timeout goes on."""
        job, end = self._jobs[number], self.ends_at
        self._leave_lane(number)
        if keeps_end:
            end = min(job.ends_at or end, self._board.started(number) + job.timeout)
        if not alone:
            self._queue.append(number)
        elif self._returns[number] < _MOST_RETURNS:
            self._returns[number] += 1
            self._queue_alone.append((number, end))
        else:
            job.end(None, NotProbed(f"not probed: its process was ended {_MOST_RETURNS} times"))

    def _enqueue(self, number: int) -> ProbeJob:
        if self._dispatcher is None or self._closed:
            return _refused(self._planned[number], self._refusal)
        self._queue.append(number)
        self._notify()
        planned = self._planned[number]
        return ProbeJob(planned.name, None, planned.target.timeout)

    def _notify(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b"x")

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def _dispatch(self, workers: Workers) -> None:
        reason = "run ended before the probe did"
        try:
            while not self._closed:
                self._do_next(workers)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not let every check wait
            reason = self._refusal = f"not probed: {type(error).__name__} in the thread that starts the probes: {error}"
            self._dispatcher = None
        with self._lock:
            self._end_jobs(workers, reason)
        workers.close()

    def _do_next(self, workers: Workers) -> None:
        calls = workers.wait()
        with self._lock:
            for call in calls:
                call()
            workers.examine()
            self._give_out(workers)
            workers.flush()

    def _give_out(self, workers: Workers) -> None:
        if workers.refusal:
            self._drop_queue(workers.refusal)
        if clock.monotonic() >= self.ends_at:
            self._drop_queue(f"not probed within the run's timeout of {in_words(self.timeout)}")
        while self._queue_alone and workers.has_room_alone():
            number, end = self._queue_alone.pop(0)
            self._lanes[self._planned[number].probe.function] += 1
            workers.order_alone(number, self._begun(number, end), end)
        waiting: list[int] = []
        for number in self._queue:
            if workers.has_room() and self._take_lane(number):
                workers.order(number, self._begun(number, self.ends_at), self.ends_at)
            else:
                waiting.append(number)
        self._queue = waiting

    def _begun(self, number: int, latest_end: float) -> ProbeJob:
        job = self._jobs[number]
        job.ends_at = latest_end
        return job

    def _take_lane(self, number: int) -> bool:
        """Return whether one more job of the probe may run now; then it does."""
        probe = self._planned[number].probe
        if probe.concurrent is not None and self._lanes[probe.function] >= probe.concurrent:
            return False
        self._lanes[probe.function] += 1
        return True

    def _leave_lane(self, number: int) -> None:
        self._lanes[self._planned[number].probe.function] -= 1

    def _overdue(self, number: int) -> ProbeTimeout:
        job, phase = self._jobs[number], self._board.read(number) or "no response"
        if job.ends_at == self.ends_at < self._board.started(number) + job.timeout:
            return ProbeTimeout(f"{phase} before the timeout of the run")
        return ProbeTimeout(f"{phase} within {in_words(job.timeout)}")

    def _end_of(self, number: int, job: ProbeJob) -> float:
        started = self._board.started(number)
        return min(started + job.timeout, self.ends_at) if started else self.ends_at

    def _drop_queue(self, reason: str) -> None:
        for number in [*self._queue, *(number for number, _ in self._queue_alone)]:
            self._jobs[number].end(None, NotProbed(reason))
        self._queue.clear()
        self._queue_alone.clear()

    def _end_jobs(self, workers: Workers, reason: str) -> None:
        """Give everything that has none an outcome."""
        self._drop_queue(reason)
        for _, job in workers.jobs():
            job.end(None, NotProbed(reason))


def _run_process(
    worker: WorkerSettings, tester: TesterSettings, channel: socket.socket, output: int, number: int
) -> None:
    """Be what has this number: a worker, or below 0 a tester."""
    if number < 0:
        run_tester(tester, channel, output)
    else:
        run_worker(worker, channel, output, number)


def _key(probe: "Probe", target: "Target") -> object:
    return probe.function, target.kind(), target.name


def _refused(planned: PlannedProbe, reason: str) -> ProbeJob:
    job = ProbeJob(planned.name, None, planned.target.timeout)
    job.end(None, NotProbed(reason))
    return job


def usable_cores() -> set[int]:
    """Return the cores that this process may use."""
    return os.sched_getaffinity(0)
