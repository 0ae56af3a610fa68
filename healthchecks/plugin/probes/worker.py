"""A worker: a process that runs probes, each in a daemon thread of its own under its own timeout.

A thread that is overdue is left to itself (nothing can end a thread that waits in C); it gives its slot back, but still
counts as alive until it ends. One that computes is stopped by an exception; where that does not help, the worker
is of no more use, and the pytest process ends it.
"""

import contextlib
import ctypes
import heapq
import itertools
import os
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from healthchecks.plugin import signals
from healthchecks.plugin.probes.board import Board
from healthchecks.plugin.probes.execution import execute
from healthchecks.plugin.probes.fixture import Probe
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.job_output import divert_logs, divert_streams
from healthchecks.plugin.probes.message import framed, message_of
from healthchecks.plugin.probes.processes import exit_with_traceback, processor_time
from healthchecks.plugin.result import NotProbed
from healthchecks.plugin.surroundings import PoolLimits, had_no_descriptor, keep_descriptors, restore_descriptors
from servermonitoring import clock, threads

ORDER = struct.Struct("<id")  # job, latest end (monotonic s)
CLOSE = -1  # in place of a job: end everything
SPOILT = "spoilt"  # a message: a thread of this worker computes and cannot be stopped
_BEAT = 0.1  # seconds
_PACE = 0.0005  # seconds between two starts
_LAG = 0.0012  # seconds that a wake-up may be late: with more, the core is busy with probes that are under way
_MOST_LAG = 0.005  # seconds for which a start is put off; a machine that is busy with something else stays so
_LONGEST_CLEANING = 2.0  # seconds
_WATCHED = 0.2  # seconds between two examinations of overdue threads
_IDLE = 0.1  # of a core, which an overdue thread may use
_CLONE_FS = 0x200  # of unshare(2)
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class PlannedProbe:
    """A probe of one target."""

    probe: Probe
    target: Any

    @property
    def name(self) -> str:
        return f"{self.probe.name}[{self.target.reference}]"


@dataclass(frozen=True)
class WorkerSettings:
    """What all workers of a run have in common."""

    planned: Sequence[PlannedProbe]
    board: Board
    limits: PoolLimits
    """Of one worker."""
    ends_at: float
    """When the run's timeout expires, monotonic."""
    level: int
    """Of the root logger."""


class StoppedError(BaseException):
    """Raised in a thread that computes although its job is over."""


def run_worker(settings: WorkerSettings, channel: socket.socket, output: int, number: int) -> None:
    """Be a worker until the pytest process says so, or is gone."""
    signals.ignore_signals()
    divert_streams(output)
    keep_descriptors()
    divert_logs(settings.level)
    for kind in {type(each.target) for each in settings.planned}:
        with contextlib.suppress(Exception):  # the first probe may take longer then
            kind.rehearse()
    _WorkerLoop(settings, channel, number).run()


class _WorkerLoop:
    def __init__(self, settings: WorkerSettings, channel: socket.socket, number: int) -> None:
        self._settings, self._channel, self._number = settings, channel, number
        self._board = settings.board
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._queue: deque[tuple[int, float]] = deque()
        self._running: dict[ProbeJob, int] = {}  # within their timeout: these hold the slots
        self._overdue: dict[ProbeJob, _Thread] = {}
        self._ends: list[tuple[float, int, ProbeJob]] = []
        self._order = itertools.count()
        self._alive = 0
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._next_examination = 0.0

    def run(self) -> None:
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        poller.register(self._woken, select.POLLIN)
        while self._take_orders(poller):
            self._board.beat(self._number)
            self._expire()
            self._examine_overdue()
            if self._queue and self._has_room():
                self._start(*self._queue.popleft())
                self._pace()
        self._close()

    def _take_orders(self, poller: select.poll) -> bool:
        """Wait for something to do. Return False when the worker is to end."""
        ready = dict(poller.poll(self._until_next() * 1000))
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
        if self._channel.fileno() not in ready:
            return True
        try:
            data = self._channel.recv(ORDER.size * 512)
            while len(data) % ORDER.size and (more := self._channel.recv(ORDER.size - len(data) % ORDER.size)):
                data += more
        except OSError:
            return False
        orders = [*ORDER.iter_unpack(data)] if data else [(CLOSE, 0.0)]
        self._queue.extend((job, end) for job, end in orders if job != CLOSE)
        return bool(orders[-1][0] != CLOSE)

    def _until_next(self) -> float:
        if self._queue and self._has_room():
            return 0.0
        if not (self._running or self._overdue):
            return 3600.0
        end = self._ends[0][0] if self._ends else clock.monotonic() + _BEAT
        return min(_BEAT, max(0.0, end - clock.monotonic() + 0.001))

    def _has_room(self) -> bool:
        with self._lock:
            limits = self._settings.limits
            return len(self._running) < limits.slots and self._alive < limits.threads

    def _start(self, number: int, latest_end: float) -> None:
        task = self._settings.planned[number]
        job = ProbeJob(task.name, partial(execute, partial(task.probe.function, task.target)), task.target.timeout)
        job.publish_phase = partial(self._board.write, number)
        job.is_again = latest_end < self._settings.ends_at
        with self._lock:
            self._running[job] = number
            self._alive += 1
        job.begin(latest_end)
        heapq.heappush(self._ends, (job.ends_at or 0.0, next(self._order), job))
        if threads.start(self._probe, job, number, latest_end, name=f"probe {job.name}") is None:
            job.end(None, NotProbed("not probed: the system gives no more threads"))
            self._report(job)
            self._ended(job)

    def _pace(self) -> None:
        """Wait until the core is free: a probe must not be slowed by those that start with it."""
        latest = clock.monotonic() + _MOST_LAG
        while True:
            begun = clock.monotonic()
            clock.sleep(_PACE)
            now = clock.monotonic()
            if now - begun < _PACE + _LAG or now > latest:
                return

    def _probe(self, job: ProbeJob, number: int, latest_end: float) -> None:
        _LIBC.unshare(_CLONE_FS)  # a working directory of its own; where that is forbidden, it is shared
        self._board.begin(number, threading.get_native_id())
        job.begin(latest_end)  # once more: the time until the thread ran is not the probe's
        job.run()
        self._report(job)
        self._ended(job)

    def _report(self, job: ProbeJob) -> None:
        """Send what came of a job, once; end this worker if it cannot, since no other job could be reported either."""
        with self._lock:
            number = self._running.pop(job, None)
        try:
            no_descriptor = restore_descriptors()
            if number is not None:
                message = message_of(number, job)
                message.lacked_descriptors = no_descriptor or had_no_descriptor(job.error)
                self._send(message)
        except BaseException:  # noqa: BLE001 - whatever a probe has made of this process
            exit_with_traceback(2)

    def _send(self, content: object) -> None:
        data = framed(content)
        with self._sending, contextlib.suppress(OSError):  # nobody is there any more
            self._channel.sendall(data)

    def _ended(self, job: ProbeJob) -> None:
        with self._lock:
            self._alive -= 1
            self._overdue.pop(job, None)
        if self._queue:
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake, b"x")

    def _expire(self) -> None:
        now = clock.monotonic()
        while self._ends and (self._ends[0][0] <= now or self._ends[0][2].done.is_set()):
            _, _, job = heapq.heappop(self._ends)
            if now < (job.ends_at or 0.0) and not job.done.is_set():  # its thread ran late
                heapq.heappush(self._ends, (job.ends_at or 0.0, next(self._order), job))
            else:
                self._give_up(job)

    def _give_up(self, job: ProbeJob) -> None:
        with self._lock:
            number = self._running.get(job)
        if job.expire() and number is not None:
            with self._lock:
                self._overdue[job] = _Thread(self._board.thread(number))
            self._report(job)

    def _examine_overdue(self) -> None:
        """Stop threads that compute although their job is over; say so if one cannot be stopped."""
        now = clock.monotonic()
        if not self._overdue or now < self._next_examination:
            return
        self._next_examination = now + _WATCHED
        with self._lock:
            threads_of = [*self._overdue.values()]
        if any(each.is_unstoppable(now) for each in threads_of):
            self._send(SPOILT)

    def _close(self) -> None:
        """Clean up after what is under way."""
        with self._lock:
            left = [*self._running]
        cleanings = []
        for job in left:
            job.end(None, NotProbed("run ended before the probe did"))
            if job.cleanups:
                cleanings.append(threads.start(job.clean, name="healthchecks-clean"))
        end = clock.monotonic() + _LONGEST_CLEANING
        for each in cleanings:
            if each is not None:
                each.join(max(0.0, end - clock.monotonic()))


class _Thread:
    """A thread whose job is over."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._measured: tuple[float, float] | None = None
        self._warnings = 0

    def is_unstoppable(self, now: float) -> bool:
        """Stop it by an exception if it computes; return whether two of them did not stop it."""
        used = processor_time(os.getpid(), self._number)
        before, self._measured = self._measured, (now, used)
        if before is None or used - before[1] < _IDLE * (now - before[0]):
            return False
        self._warnings += 1
        if ident := next((each.ident for each in threading.enumerate() if each.native_id == self._number), None):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(StoppedError))
        return self._warnings > 2  # noqa: PLR2004 - as said above
