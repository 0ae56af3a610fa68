"""Runs many probes at once, each in its own daemon thread under its own timeout.

An outage of N targets costs one timeout, not N. A thread that is overdue is left to itself (nothing can end a
thread that waits in C); it gives its slot back, but still counts as alive until it ends. Daemon threads do not
hold the exit, as those of a ThreadPoolExecutor would.
"""

import heapq
import inspect
import itertools
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from healthchecks.plugin.probe import ProbeJob, remaining
from healthchecks.plugin.result import CheckError, NotProbed
from healthchecks.plugin.surroundings import PoolLimits, restore_descriptors
from servermonitoring import threads
from servermonitoring.values import in_words

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.target import Target
    from healthchecks.plugin.probe import Probe


def execute(function: Callable[[], Any]) -> Any:
    """Return what the function gives in the end. Raise CheckError for a generator, of which nothing has run yet.

    What it awaits runs in an event loop of its own in this thread, and is cancelled when the timeout expires.
    """
    value = function()
    if inspect.isawaitable(value):
        import asyncio

        value = asyncio.run(_awaited(value))
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise CheckError(f"{value.__name__}() is a generator, so nothing in it ran: return instead of yield")
    return value


def execute_test(function: Callable[[], Any]) -> None:
    """Run a test function to its end. Raise CheckError for one that returns a value."""
    refuse_value(execute(function))


def refuse_value(value: object) -> None:
    """Raise CheckError for what a test returned: nobody reads it."""
    if value is not None:
        raise CheckError(f"the test returned a value of type {type(value).__name__}: use assert instead of return")


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    import asyncio

    return await asyncio.wait_for(awaitable, remaining())


_UNBOUNDED = 1_000_000
_PATIENCE = 5.0  # seconds beyond the run's timeout, after which the dispatcher itself must be broken


class Pool:
    """All probes of one run; `timeout` is the run's, in seconds."""

    def __init__(self, limits: PoolLimits, timeout: float) -> None:
        self.limits, self.timeout = limits, timeout
        self.ends_at = time.monotonic() + timeout
        self._jobs: dict[object, ProbeJob] = {}
        self._queue: list[ProbeJob] = []
        self._overdue: list[tuple[float, int, ProbeJob]] = []
        self._number = itertools.count()
        self._running: set[ProbeJob] = set()  # within their timeout: these hold the slots
        self._alive = 0
        self._lanes: Counter[object] = Counter()
        self._changed = threading.Condition()
        self._dispatcher: threading.Thread | None = None
        self._closed = False

    def submit(self, probe: "Probe", target: "Target") -> ProbeJob:
        """The job of this probe of this target; the same one for every test that asks for it."""
        key = (probe.function, target.kind(), target.name)
        with self._changed:
            if key not in self._jobs:
                self._jobs[key] = self._enqueue(self._job(probe, target))
            return self._jobs[key]

    def again(self, probe: "Probe", target: "Target") -> None:
        """Run the probe again, for a retry; whoever asks next gets the new job."""
        with self._changed:
            self._jobs.pop((probe.function, target.kind(), target.name), None)
        self.submit(probe, target)

    def wait(self, job: ProbeJob) -> Any:
        """Its value; raises what the probe raised, ProbeTimeout, or NotProbed."""
        if not job.done.wait(max(0.0, self.ends_at - time.monotonic()) + _PATIENCE):
            job.end(None, NotProbed("the thread that starts the probes of this run died"))
        return job.result()

    def waiting(self) -> tuple[int, float]:
        """How many jobs are still awaited, and for how many seconds at most."""
        with self._changed:
            ends = self.ends_at if self._queue else max((job.ends_at or 0.0 for job in self._running), default=0.0)
            return len(self._running) + len(self._queue), max(0.0, ends - time.monotonic())

    def close(self) -> None:
        """Start nothing more, and clean up after what is still under way."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            left = list(self._running)
            self._changed.notify_all()
        for job in left:
            job.end(None, NotProbed("run ended before the probe did"))
            job.clean()

    def _job(self, probe: "Probe", target: "Target") -> ProbeJob:
        lane = (
            probe.function if probe.concurrent else None,
            probe.concurrent or _UNBOUNDED,
        )
        return ProbeJob(
            f"{probe.name}[{target.reference}]",
            partial(execute, partial(probe.function, target)),
            target.timeout,
            lane,
        )

    def _enqueue(self, job: ProbeJob) -> ProbeJob:
        self._queue.append(job)
        if self._dispatcher is None:
            self._dispatcher = threads.start(self._dispatch, name="healthchecks")
        if self._dispatcher is None:
            self._queue.remove(job)
            job.end(None, NotProbed("not probed: the system gives no more threads"))
        self._changed.notify_all()
        return job

    def _dispatch(self) -> None:
        while not self._closed:
            with self._changed:
                self._expire()
                job = self._next()
                if job is None:
                    self._changed.wait(self._until_next())
                    continue
                self._take(job)
            self._start(job)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._overdue and (self._overdue[0][0] <= now or self._overdue[0][2].done.is_set()):
            _, _, job = heapq.heappop(self._overdue)
            job.expire()
            self._release(job)
        if now >= self.ends_at:
            for job in self._queue:
                job.end(None, NotProbed(f"not probed within the run's timeout of {in_words(self.timeout)}"))
            self._queue.clear()

    def _next(self) -> ProbeJob | None:
        if len(self._running) >= self.limits.slots or self._alive >= self.limits.threads:
            return None
        return next((job for job in self._queue if self._lanes[job.lane] < job.concurrent), None)

    def _until_next(self) -> float:
        moment = self._overdue[0][0] if self._overdue else self.ends_at
        return max(0.0, min(moment, self.ends_at if self._queue else moment) - time.monotonic())

    def _take(self, job: ProbeJob) -> None:
        self._queue.remove(job)
        self._running.add(job)
        self._alive += 1
        self._lanes[job.lane] += 1
        job.begin(self.ends_at)
        heapq.heappush(self._overdue, (job.ends_at or 0.0, next(self._number), job))

    def _start(self, job: ProbeJob) -> None:
        if threads.start(self._probe, job, name=f"probe {job.name}") is None:
            job.end(None, NotProbed("not probed: the system gives no more threads"))
            self._ended(job)

    def _probe(self, job: ProbeJob) -> None:
        job.run()
        restore_descriptors()
        self._ended(job)

    def _ended(self, job: ProbeJob) -> None:
        with self._changed:
            self._alive -= 1
            self._release(job)
            self._changed.notify_all()

    def _release(self, job: ProbeJob) -> None:
        if job in self._running:
            self._running.remove(job)
            self._lanes[job.lane] -= 1
