"""Memory that the pytest process shares with its workers: what a probe does now, also of one that no longer answers.

It is made before the first fork. A worker writes, and the pytest process reads what may be half written: a number too
old, a text cut off.
"""

import mmap
import struct

from servermonitoring import clock

_JOB = struct.Struct("dIH242s")  # start (monotonic s), thread, length of the text, text
_PULSE = struct.Struct("d")


class Board:
    """A line for each job: when it was started, in which thread, what it waits for; and a pulse for each worker."""

    def __init__(self, jobs: int, workers: int) -> None:
        self._pulses = jobs * _JOB.size
        self._workers = workers
        self._memory = mmap.mmap(-1, max(1, self._pulses + workers * _PULSE.size))

    def begin(self, job: int, thread: int) -> None:
        """Note that a job starts now."""
        _JOB.pack_into(self._memory, job * _JOB.size, clock.monotonic(), thread, 0, b"")

    def clear(self, job: int) -> None:
        """Forget the job: it will be started again."""
        _JOB.pack_into(self._memory, job * _JOB.size, 0.0, 0, 0, b"")

    def write(self, job: int, text: str) -> None:
        """Note what a job waits for."""
        start, thread, _, _ = _JOB.unpack_from(self._memory, job * _JOB.size)
        data = text.encode(errors="replace")[:240]
        _JOB.pack_into(self._memory, job * _JOB.size, start, thread, len(data), data)

    def started(self, job: int) -> float:
        """Return when the job was started, in monotonic seconds; 0 if it was not."""
        return float(_JOB.unpack_from(self._memory, job * _JOB.size)[0])

    def thread(self, job: int) -> int:
        """Return the kernel's id of the job's thread; 0 if it was not started."""
        return int(_JOB.unpack_from(self._memory, job * _JOB.size)[1])

    def read(self, job: int) -> str:
        """Return what the job waits for; empty if it said nothing."""
        _, _, length, data = _JOB.unpack_from(self._memory, job * _JOB.size)
        return bytes(data[:length]).decode(errors="replace")

    def beat(self, worker: int) -> None:
        """Note that the worker's main thread runs."""
        _PULSE.pack_into(self._memory, self._place(worker), clock.monotonic())

    def last_beat(self, worker: int) -> float:
        """Return when the worker's main thread ran last, in monotonic seconds; 0 if it never did."""
        return float(_PULSE.unpack_from(self._memory, self._place(worker))[0])

    def _place(self, worker: int) -> int:
        return self._pulses + worker % self._workers * _PULSE.size
