"""A probe: the fixture whose value is fetched ahead, one job of it under way or done, and what it may call.

Each job has a thread of its own, and a timeout. A phase of a test is a job, too.
"""

import contextlib
import inspect
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

import pytest

from healthchecks.plugin.configuration.target import Target
from healthchecks.plugin.result import LARGEST, Attachment, CheckError, ProbeTimeout, valid, with_place
from servermonitoring import threads
from servermonitoring.values import in_words

if TYPE_CHECKING:
    import logging

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "healthchecks_probe"
_ENDS_PYTEST = (KeyboardInterrupt, SystemExit, GeneratorExit, pytest.exit.Exception)
_local = threading.local()
_PUNCTUAL = 0.05  # seconds before its timeout at which a client may already say that it is over
_SLICE = 0.5  # seconds


@overload
def probe(function: F) -> F: ...
@overload
def probe(*, concurrent: int | None = None) -> Callable[[F], F]: ...
def probe(function: F | None = None, *, concurrent: int | None = None) -> F | Callable[[F], F]:
    """Make a function of one target a probe, and a fixture of the function's name.

    A test that asks for it gets the returned value; what the function raises is the test's failure.
    `concurrent` bounds how many of it run at a time. Raises TypeError for a function of anything but one Target.
    """
    if function is None:
        return lambda each: _fixture(each, concurrent)
    return _fixture(function, concurrent)


def _fixture(function: F, concurrent: int | None) -> F:
    made = Probe(function, *_parameter(function), concurrent)

    def job(request: pytest.FixtureRequest, **target: Target) -> object:
        pool = request.config.stash.get(POOL, None)  # none under --setup-only, which contacts nobody
        return pool and pool.submit(made, target[made.parameter])

    parameters = ("request", made.parameter)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    job.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # pytest asks for the target by it
        [inspect.Parameter(name, kind) for name in parameters]
    )
    job.__doc__ = function.__doc__
    job.__module__ = function.__module__
    setattr(job, _MARK, made)
    return cast("F", pytest.fixture(name=function.__name__)(job))


def _parameter(function: Callable[..., Any]) -> tuple[str, type[Target]]:
    name, parameters = function.__name__, list(inspect.signature(function).parameters)
    if len(parameters) != 1:
        raise TypeError(
            f"probe {name}({', '.join(parameters)}) needs exactly one parameter, its target: it runs before any "
            "fixture is made. Let the test ask for fixtures; for two targets, write two probes that it asks for"
        )
    target = inspect.get_annotations(function).get(parameters[0])
    if isinstance(target, str):  # under `from __future__ import annotations`
        target = function.__globals__.get(target)
    if not isinstance(target, type) or not issubclass(target, Target):
        raise TypeError(
            f"probe {name}({parameters[0]}) needs the class of its target, a healthchecks.Target: "
            f"def {name}({parameters[0]}: {parameters[0].title()})"
        )
    return parameters[0], target


@dataclass(frozen=True)
class Probe:
    """A function that contacts one target, and how many of it may run at a time."""

    function: Callable[..., Any]
    parameter: str
    target: type[Target]
    concurrent: int | None = None

    @property
    def name(self) -> str:
        return self.function.__name__


def probe_of(fixture_function: object) -> Probe | None:
    """The probe behind a fixture's function, if it is one."""
    return cast("Probe | None", getattr(fixture_function, _MARK, None))


class ProbeJob:
    """Times are of the monotonic clock, in seconds; whoever ends a job first decides what came of it."""

    def __init__(self, name: str, call: Callable[[], Any], timeout: float, lane: tuple[object, int]) -> None:
        self.name, self.call, self.timeout = name, call, timeout
        self.lane, self.concurrent = lane
        self.is_ahead = True
        """Of a test that may not have its turn yet: what it logs is held back until then."""
        self.started: float | None = None
        self.ended: float | None = None
        self.ends_at: float | None = None
        self.phase = "no response"  # what to say if the time is over now
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_overdue = False
        self.done = threading.Event()
        self.records: list[logging.LogRecord] = []
        self.attachments: list[Attachment] = []
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
        return (self.ended or time.monotonic()) - self.started

    def begin(self, run_ends_at: float) -> None:
        self.started = time.monotonic()
        self.ends_at = min(self.started + self.timeout, run_ends_at)

    def run(self) -> None:
        """Run the probe, in a thread of its own."""
        _local.job = self
        process = os.getpid()
        try:
            value, error = self.call(), None
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it is raised again in the test
            value, error = None, raised
        if os.getpid() != process:
            os._exit(1)  # a child that the check forked and forgot to end: this run is not its own
        late = self.ends_at is not None and time.monotonic() > self.ends_at
        nameless = isinstance(error, ProbeTimeout) and not str(error)
        self.end(value, self._overdue() if late or nameless else error)

    def wait(self, check_end: Callable[[], None]) -> None:
        """Wait until it has ended or its time is over; call `check_end` regularly, which raises to end the wait."""
        while not self.done.wait(min(_SLICE, max(0.0, (self.ends_at or 0.0) - time.monotonic()))):
            if time.monotonic() >= (self.ends_at or 0.0):
                self.expire()
            check_end()

    def expire(self) -> None:
        """Give up at the timeout, and clean up what the abandoned thread would leave."""
        if self.end(None, self._overdue()):
            threads.start(self.clean, name="healthchecks-clean")

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
        """Its value. Raises what the call raised; of what would end pytest itself, CheckError with the place."""
        if isinstance(self.error, _ENDS_PYTEST):
            raise CheckError(f"{self.name} raised {with_place(self.error)}, which ends this check only") from self.error
        if self.error is not None:
            raise self.error
        return self.value

    def end(self, value: Any, error: BaseException | None) -> bool:
        """Set what came of it; False if that was decided already."""
        with self._lock:
            if self.done.is_set():
                return False
            self.value, self.error, self.ended = value, error, time.monotonic()
            self.done.set()
            return True

    def _overdue(self) -> ProbeTimeout:
        self.is_overdue = True
        if self.ends_at and self.ends_at - time.monotonic() > _PUNCTUAL:  # the system's own limit, say of a connection
            return ProbeTimeout(f"{self.phase} within {in_words(self.duration)}")
        if self.started and self.ends_at and self.ends_at < self.started + self.timeout:
            return ProbeTimeout(f"{self.phase} before the timeout of the run")
        return ProbeTimeout(f"{self.phase} within {in_words(self.timeout)}")


class ProbeRunner(Protocol):
    """What runs the probes of a run: its pool."""

    def submit(self, probe: Probe, target: Target) -> ProbeJob:
        """Return the job of this probe of this target; the same one for every test that asks for it."""


POOL = pytest.StashKey[ProbeRunner]()


def current_job() -> ProbeJob | None:
    """The job that this thread runs."""
    return getattr(_local, "job", None)


def remaining() -> float:
    """Seconds left of the timeout of the probe that calls this; what a client's time limits are set to.

    Never below 0.001, since to many clients 0 means no limit. Outside of a probe: 10.
    """
    job = current_job()
    if job is None or job.ends_at is None:
        return 10.0
    return max(0.001, job.ends_at - time.monotonic())


def phase(text: str) -> None:
    """Say what the probe waits for from now on, as the beginning of its message if the timeout expires.

    `phase("connected to db1:5432, no response")` gives "connected to db1:5432, no response within 4 s"; so does a
    `ProbeTimeout` that is raised without a text. Without any phase it is "no response".
    """
    job = current_job()
    if job is not None:
        job.phase = text


def on_timeout(clean: Callable[[], object]) -> None:
    """Have `clean` called when the timeout expires or the run ends before this probe does.

    For what an abandoned thread would leave behind: a browser's processes. Called from another thread.
    """
    job = current_job()
    if job is not None:
        job.clean_with(clean)


def attach(name: str, content: str | bytes, media_type: str = "text/plain") -> None:
    """Keep a text, or with media_type "image/png" a picture, for the page; called inside a probe or a test.

    Cut at 2 MB; a picture larger than that is left out, and so is what exceeds 10 MB of one check. Does nothing
    elsewhere.
    """
    job = current_job()
    data = valid(content).encode() if isinstance(content, str) else content
    if job is None or (media_type.startswith("image/") and len(data) > LARGEST):
        return
    job.attachments.append(Attachment(name, data, media_type))
