"""Runs tests in the main thread of a process that exists for that, each within its timeout."""

import contextlib
import logging
import signal
from collections.abc import Iterator, Sequence

from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.message import Message, message_of
from healthchecks.plugin.probes.records import divert_logs
from servermonitoring import clock


class OverdueError(BaseException):
    """Raised in a test whose timeout is over, or whose run was interrupted, by SIGALRM."""


class Performer:
    """Of one process. `handlers`: those of the root logger that remain; what is logged crosses to the run."""

    def __init__(self, level: int, handlers: Sequence[logging.Handler] = ()) -> None:
        self._log = divert_logs(level, handlers)
        signal.signal(signal.SIGALRM, _raise_overdue)

    def perform(self, number: int, job: ProbeJob, latest_end: float) -> Message:
        """Make the call of the job; return what came of it."""
        self._log.main_job = job
        job.begin(latest_end)
        with contextlib.suppress(OverdueError), _alarm(job):  # which may come when the call has just ended
            job.run()
        job.expire()
        if job.is_overdue or isinstance(job.error, OverdueError):
            job.clean()
        return message_of(number, job)


@contextlib.contextmanager
def _alarm(job: ProbeJob) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, max(0.001, (job.ends_at or 0.0) - clock.monotonic()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _raise_overdue(*_: object) -> None:
    raise OverdueError
