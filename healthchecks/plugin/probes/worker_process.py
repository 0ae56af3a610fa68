"""A worker as the pytest process sees it: the jobs that it has, what it sends, how it is."""

import contextlib

from healthchecks.plugin.probes.board import Board
from healthchecks.plugin.probes.forked_process import LATE, ForkedProcess
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.message import Message
from healthchecks.plugin.probes.processes import processor_time, state
from healthchecks.plugin.probes.spawner import Spawner
from healthchecks.plugin.probes.worker import CLOSE, ORDER, SPOILT
from healthchecks.plugin.probes.worker_end import EndCause
from servermonitoring import clock

_LATEST = 2.0  # seconds, in place of LATE where no thread computes: the machine may be busy, or the worker stopped
_SILENT = 1.0  # seconds without a pulse, while a thread of the worker computes
_DEAF = 30.0  # seconds without a pulse, while a job that it was given has not begun: its main thread waits for ever
_STOPPED = ("T", "t")  # states of a process: by a signal, by a debugger
_COMPUTES = 0.5  # of a core
_DOMINATES = 0.5  # share of the processor time of all jobs under way, of the one that is to blame
_NOTICED = 0.1  # seconds of it, at least


class WorkerProcess(ForkedProcess):
    """One worker. `alone`: the number of the only job that it is for."""

    def __init__(self, number: int, spawner: Spawner, memory: int, board: Board, alone: int | None = None) -> None:
        super().__init__(memory)
        self.channel.setblocking(False)
        self.number, self.alone = number, alone
        self.jobs: dict[int, ProbeJob] = {}
        self.cause: EndCause | None = None  # why it is being killed
        self.overdue: set[int] = set()  # jobs whose timeout was over then
        self.culprit: int | None = None  # the job that used nearly all processor time
        self._board, self._spawner = board, spawner
        self._pulse = (0.0, 0.0)  # when it was silent first, and the processor time of its threads then
        self._unsent = b""
        board.beat(number)  # or it would be silent before it has begun
        with self.its_ends() as (channel, output):
            spawner.fork(number, channel, output)

    def order(self, number: int, job: ProbeJob, latest_end: float) -> None:
        """Have it run a job."""
        if not self.jobs:  # it waits for orders, and has no pulse meanwhile
            self._board.beat(self.number)
        self.jobs[number] = job
        self._board.clear(number)
        self._unsent += ORDER.pack(number, latest_end)

    def end(self) -> None:
        """Have it clean up and end."""
        self._unsent += ORDER.pack(CLOSE, 0.0)
        self.flush()

    def kill(self, cause: EndCause) -> None:
        """Kill it for this reason, and remember who was to blame."""
        if self.cause is None:
            self.cause, self.overdue, self.culprit = cause, self._overdue(), self._culprit()
            self._spawner.kill(self.number)

    def receive(self) -> list[Message] | None:
        """Return what came of jobs, which it has no longer; None when nothing more will come."""
        try:
            contents = self.read_messages()
        except Exception:  # noqa: BLE001 - what is no message, whatever pickle makes of it
            self.kill(EndCause.DIED)
            return None
        if contents is None:
            return None
        if SPOILT in contents:
            self.kill(EndCause.HUNG)
        messages = [each for each in contents if isinstance(each, Message) and each.job in self.jobs]
        if self.alone is None and any(map(_is_doubtful, messages)):
            self.kill(EndCause.DESCRIPTORS)
            messages = [each for each in messages if not _is_doubtful(each)]
        for each in messages:
            self.jobs.pop(each.job)
        return messages

    def has_started(self, number: int) -> bool:
        """Return whether the thread of a job has begun."""
        return self._board.started(number) > 0

    def fault(self) -> EndCause | None:
        """Return why it must be killed now; None if nothing is wrong."""
        if not self.pid or not self.jobs or self.cause:
            return None
        now = clock.monotonic()
        late = now - min((end for end in map(self._ends_at, self.jobs) if end), default=now)
        if late > LATE and now - self._board.last_beat(self.number) > LATE and (late > _LATEST or self._computes()):
            return EndCause.HUNG
        if self._is_deaf(now) or (self.alone is None and self._is_silent(now)):
            return EndCause.HUNG
        return EndCause.MEMORY if self.uses_too_much() else None

    def _culprit(self) -> int | None:
        if len(self.jobs) == 1:
            return next(iter(self.jobs))
        used = {number: processor_time(self.pid, self._board.thread(number)) for number in self.jobs}
        most = max(used, key=lambda number: used[number], default=None)
        return most if most is not None and used[most] > max(_NOTICED, _DOMINATES * sum(used.values())) else None

    def _overdue(self) -> set[int]:
        now = clock.monotonic()
        return {number for number in self.jobs if (end := self._ends_at(number)) and now > end}

    def _ends_at(self, number: int) -> float:
        started = self._board.started(number)
        job = self.jobs[number]
        return min(started + job.timeout, job.ends_at or started + job.timeout) if started else 0.0

    def _computes(self) -> bool:
        """Return whether a thread has used a lot of processor time, and may hold up all others."""
        return any(processor_time(self.pid, self._board.thread(number)) > _NOTICED for number in self.jobs)

    def _is_deaf(self, now: float) -> bool:
        """Return whether it begins no jobs, as when a thread that it started got no memory to say that it runs."""
        return now - self._board.last_beat(self.number) > _DEAF and not all(map(self.has_started, self.jobs))

    def _is_silent(self, now: float) -> bool:
        if now - self._board.last_beat(self.number) < _SILENT:
            self._pulse = (0.0, 0.0)
            return False
        if state(self.pid) in _STOPPED:
            return True
        used = sum(processor_time(self.pid, self._board.thread(number)) for number in self.jobs)
        if not self._pulse[0]:
            self._pulse = now, used
        since, before = self._pulse
        return now - since > _SILENT and used - before > _COMPUTES * (now - since)

    def flush(self) -> None:
        """Send what it takes now; never wait for a worker."""
        if self._unsent:
            with contextlib.suppress(OSError):  # full, or gone: its end of the channel shows that
                self._unsent = self._unsent[self.channel.send(self._unsent) :]


def _is_doubtful(message: Message) -> bool:
    """Return whether the job may have failed for lack of descriptors, which another one has."""
    return message.lacked_descriptors and not message.is_overdue
