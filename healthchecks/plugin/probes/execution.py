"""Execution of what an author wrote, to its end: also of what is `async`; tests in a main thread, within a timeout."""

import contextlib
import inspect
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from healthchecks.plugin.probes.context import remaining
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.job_output import divert_logs
from healthchecks.plugin.probes.message import Message, message_of
from healthchecks.plugin.result import CheckError
from servermonitoring import clock


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


class OverdueError(BaseException):
    """Raised in a test whose timeout is over, or whose run was interrupted, by SIGALRM."""


class Performer:
    """Runs tests in the main thread of a process that exists for that.

    `handlers`: those of the root logger that remain; what is logged crosses to the run.
    """

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
