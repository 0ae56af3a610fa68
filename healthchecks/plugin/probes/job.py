"""A job: one call in a thread of its own, with a timeout: of a probe in a worker, or of a phase of a test.

The pytest process has a job for each probe, too, which gets what came of it from the worker.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from healthchecks.plugin.result import Attachment, CheckError, ProbeTimeout, with_place
from servermonitoring import clock, threads
from servermonitoring.values import in_words

if TYPE_CHECKING:
    import logging

    from healthchecks.plugin.metric import Metric
    from healthchecks.plugin.peer import PeerRecord

_ENDS_PYTEST = (KeyboardInterrupt, SystemExit, GeneratorExit, pytest.exit.Exception)
_PUNCTUAL = 0.05  # seconds before its timeout at which a client may already say that it is over
_SLICE = 0.5  # seconds
_LONGEST_OUTPUT = 100_000  # characters of what a job prints
_local = threading.local()


class ProbeJob:
    """Times are of the monotonic clock, in seconds; whoever ends a job first decides what came of it."""

    def __init__(self, name: str, call: Callable[[], Any] | None, timeout: float) -> None:
        self.name, self.call, self.timeout = name, call, timeout
        self.started: float | None = None
        self.ended: float | None = None
        self.ends_at: float | None = None
        self.phase = "no response"  # what to say if the time is over now
        self.publish_phase: Callable[[str], None] | None = None  # for who ends a process that does not answer
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_overdue = False
        self.is_again = False
        """It was begun before, in a worker that is gone, and its time went on."""
        self.done = threading.Event()
        self.records: list[logging.LogRecord] = []
        self.attachments: list[Attachment] = []
        self.metrics: list[Metric] = []
        self.peer: PeerRecord | None = None
        self.output: dict[str, str] = {}
        """What it printed, by stream: stdout, stderr."""
        self.cleanups: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the probe {self.__dict__.get('name')} has its value in the test itself, not yet in a fixture: "
            f"ask for it in the test (.{name} was looked up)"
        )

    @property
    def duration(self) -> float:
        """What it took so far, or in all."""
        if self.started is None:
            return 0.0
        return (self.ended or clock.monotonic()) - self.started

    def begin(self, latest_end: float, later: float = 0.0) -> None:
        """Start the clock. `later`: seconds more for a call that has a bound of its own."""
        self.started = clock.monotonic()
        self.ends_at = min(self.started + self.timeout + later, latest_end)

    def run(self) -> bool:
        """Make the call in this thread. Return False if what came of it had been decided before."""
        _local.job = self
        process = os.getpid()
        try:
            value, error = self.call and self.call(), None
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it is raised again in the test
            value, error = None, raised
        if os.getpid() != process:
            os._exit(1)  # a child that the check forked and forgot to end: this run is not its own
        late = self.ends_at is not None and clock.monotonic() > self.ends_at
        nameless = isinstance(error, ProbeTimeout) and not str(error)
        return self.end(value, self._overdue() if late or nameless else error)

    def write(self, stream: str, text: str) -> None:
        """Keep what the call prints."""
        before = self.output.get(stream, "")
        self.output[stream] = before + text[: _LONGEST_OUTPUT - len(before)]

    def set_phase(self, text: str) -> None:
        self.phase = text
        if self.publish_phase:
            self.publish_phase(text)

    def wait(self, check_end: Callable[[], None]) -> None:
        """Wait until it has ended or its time is over; call `check_end` regularly, which raises to end the wait."""
        while not self.done.wait(min(_SLICE, max(0.0, (self.ends_at or 0.0) - clock.monotonic()))):
            if clock.monotonic() >= (self.ends_at or 0.0):
                self.expire()
            check_end()

    def expire(self) -> bool:
        """Give up at the timeout, and clean up what the abandoned thread would leave. Return False if it had ended."""
        if self.done.is_set() or not self.end(None, self._overdue()):
            return False
        threads.start(self.clean, name="healthchecks-clean")
        return True

    def clean(self) -> None:
        while self.cleanups:
            with contextlib.suppress(Exception):  # one that fails must not keep the others
                self.cleanups.pop()()

    def clean_with(self, cleanup: Callable[[], object]) -> None:
        """Have this called when the job is overdue: now, if it is already."""
        self.cleanups.append(cleanup)
        if self.done.is_set():
            self.clean()

    def result(self) -> Any:
        """Return its value. Raise what the call raised; of what would end pytest itself, CheckError with the place."""
        error = self.harmless_error()
        if error is not None:
            raise error from self.error if error is not self.error else error.__cause__
        return self.value

    def harmless_error(self) -> BaseException | None:
        """Return what the call raised; in place of what would end pytest itself, CheckError with the place."""
        if isinstance(self.error, _ENDS_PYTEST):
            return CheckError(f"{self.name} raised {with_place(self.error)}, which ends this check only")
        return self.error

    def end(self, value: Any, error: BaseException | None) -> bool:
        """Set what came of it; False if that was decided already."""
        with self._lock:
            if self.done.is_set():
                return False
            self.value, self.error, self.ended = value, error, clock.monotonic()
            self.done.set()
            return True

    def _overdue(self) -> ProbeTimeout:
        self.is_overdue = True
        if self.ends_at and self.ends_at - clock.monotonic() > _PUNCTUAL:  # the system's own limit, say of a connection
            return ProbeTimeout(f"{self.phase} within {in_words(self.duration)}")
        is_cut = self.started and self.ends_at and self.ends_at < self.started + self.timeout
        if is_cut and not self.is_again:
            return ProbeTimeout(f"{self.phase} before the timeout of the run")
        return ProbeTimeout(f"{self.phase} within {in_words(self.timeout)}")


def current_job() -> ProbeJob | None:
    """Return the job that this thread runs; None if it runs none."""
    return getattr(_local, "job", None)
