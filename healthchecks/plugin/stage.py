"""The stage: a thread in which tests run one after another, so that none can hold up the run.

A phase of a check (setup, call, teardown) that does not end in time is abandoned with its thread, and the next one
gets a new thread. All phases of one check run in the same thread, since clients such as sqlite3 and greenlets are
bound to the thread that made them.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple

import pytest
from _pytest.runner import SetupState

from healthchecks.plugin import collection
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.result import CheckError, NotProbed, ProbeTimeout
from healthchecks.plugin.signals import Interruption
from healthchecks.plugin.surroundings import WorkingDirectory, protect_streams, restore_descriptors
from servermonitoring import clock, threads
from servermonitoring.values import in_words

_PATIENCE = 2.0  # seconds that a phase may take after the run's timeout; halved for each that takes all of it
_LEAST = 0.05  # seconds that a phase may always take: most need a hundredth of it
_LAST_START = 4.0  # seconds after the run's timeout from which on only teardowns begin: the rest would hold up the end


class AbandonedError(CheckError):
    """A phase did not end in time: its thread goes on, and the run does not wait for it."""


class Phase(NamedTuple):
    """A call on the stage. Times are in seconds."""

    name: str
    call: Callable[[], Any]
    timeout: float
    later: float = 0.0
    """More of them, for a call that has a bound of its own."""
    is_due_always: bool = False
    """Also when the run should have ended long ago."""


class _Worker:
    """A thread that runs one job after another until it is retired."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[ProbeJob | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="healthchecks-stage", daemon=True).start()

    def do(self, job: ProbeJob | None) -> None:
        """Run a job; None retires the thread."""
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()


class Stage:
    """The thread, and the time left. `ends_at`: when the run's timeout expires, monotonic."""

    def __init__(self, ends_at: float, interruption: Interruption) -> None:
        self._ends_at, self._interruption = ends_at, interruption
        self._patience = _PATIENCE
        self._worker: _Worker | None = None
        self._job: ProbeJob | None = None

    def begin(self, phase: Phase) -> ProbeJob:
        """Start a phase; `finish` must follow."""
        protect_streams()
        self.close()
        self._job = job = ProbeJob(phase.name, phase.call, phase.timeout)
        job.begin(self.latest_end() + phase.later, phase.later)
        if clock.monotonic() > self._ends_at + _LAST_START and not phase.is_due_always:
            job.end(None, NotProbed("not run before the timeout of the run"))
            return job
        try:
            self._worker = self._worker or _Worker()
            self._worker.do(job)
        except RuntimeError:
            job.end(None, NotProbed("not run: the system gives no more threads"))
        return job

    def latest_end(self) -> float:
        """Return when a phase that begins now must be over, whatever its timeout, in monotonic seconds."""
        return max(self._ends_at, clock.monotonic() + self._patience)

    def finish(self, job: ProbeJob) -> Any:
        """Return its value when it has ended. Raise what it raised, or ProbeTimeout when it takes too long."""
        try:
            with self._interruption.held():
                job.wait(self._interruption.check)
        finally:
            if job.is_overdue:
                self._abandon()
            restore_descriptors()
        return job.result()

    def run(self, phase: Phase) -> Any:
        """Begin and finish a phase in which only the check is slow. Raise AbandonedError when it takes too long."""
        job = self.begin(phase)
        try:
            return self.finish(job)
        except ProbeTimeout:
            if job.is_overdue:
                within = min(phase.timeout, round(job.duration, 1))  # the run's own may end sooner
                raise AbandonedError(f"{phase.name} did not end within {in_words(within)}") from None
            raise

    def close(self) -> None:
        """Clean up after a phase for which an interrupted run no longer waits."""
        if self._job is not None and self._job.end(None, NotProbed("the run was ended before it was over")):
            self._abandon()
            if cleaning := threads.start(self._job.clean, name="healthchecks-clean"):
                cleaning.join(_PATIENCE)

    def waiting(self, job: ProbeJob) -> tuple[int, float]:
        """Return how many jobs are waited for, and for how many seconds at most."""
        return 1, max(0.0, (job.ends_at or 0.0) - clock.monotonic())

    def _abandon(self) -> None:
        if self._worker is not None:
            self._worker.do(None)
            self._worker = None
        if clock.monotonic() > self._ends_at:
            self._patience = max(_LEAST, self._patience / 2)


class Fixtures:
    """The fixtures that are being set up: a plugin of the run."""

    def __init__(self) -> None:
        self._under_way: list[pytest.FixtureDef[Any]] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        self._under_way.append(fixturedef)
        try:
            return (yield)
        finally:
            with contextlib.suppress(ValueError):  # it was abandoned
                self._under_way.remove(fixturedef)

    def abandon(self, error: Exception) -> None:
        """Fail the fixtures of a module or session for every test that asks for them: one timeout is enough."""
        for fixture in self._under_way:
            _fail_fixture(fixture, error)
        self._under_way = []


class Phases(SetupState):
    """pytest's SetupState with timeouts for checks; other tests of the same run are set up as usual."""

    def __init__(self, session: pytest.Session, stage: Stage, fixtures: Fixtures) -> None:
        super().__init__()
        self._session, self._stage, self._fixtures = session, stage, fixtures
        self._directory = WorkingDirectory()
        self._check: pytest.Item | None = None

    def setup(self, item: pytest.Item) -> None:
        """Set up. Raise AbandonedError if that does not end within the check's timeout."""
        self._check = item if collection.is_check(item) and not item.config.getoption("usepdb", default=False) else None
        try:
            self._run("setup", partial(super().setup, item), is_quick=collection.needs_data_only(item))
        except AbandonedError as error:
            self._copy().stack.pop(item, None)
            self._fixtures.abandon(error)
            raise

    def teardown_exact(self, nextitem: pytest.Item | None) -> None:
        """Tear down all. Raise AbandonedError if that does not end within the check's timeout."""
        try:
            self._run("teardown", partial(super().teardown_exact, nextitem), is_quick=self._tears_down_data(nextitem))
        except AbandonedError:
            self._copy().teardown_exact(nextitem)
            raise
        finally:
            if self._check is not None:
                self._directory.restore()

    def _run(self, name: str, call: Callable[[], None], *, is_quick: bool) -> None:
        if self._check is None or is_quick:
            call()
        else:
            timeout = collection.timeout_of(self._check)
            self._stage.run(Phase(name, call, timeout, is_due_always=name == "teardown"))

    def _tears_down_data(self, nextitem: pytest.Item | None) -> bool:
        """Return whether nothing is torn down but a test that had no fixtures: another one of its file follows."""
        check = self._check
        if check is None or nextitem is None or nextitem.parent is not check.parent:
            return False
        return collection.needs_data_only(check)

    def _copy(self) -> "Phases":
        """Replace pytest's state by a copy that the abandoned thread cannot change."""
        copy = Phases(self._session, self._stage, self._fixtures)
        copy.stack, copy._check, copy._directory = dict(self.stack), self._check, self._directory
        _set_state(self._session, copy)
        return copy


def bound_phases(session: pytest.Session, stage: Stage) -> None:
    """Run setup and teardown of this session's checks on the stage from now on."""
    fixtures = Fixtures()
    session.config.pluginmanager.register(fixtures)
    _set_state(session, Phases(session, stage, fixtures))


def _fail_fixture(fixture: pytest.FixtureDef[Any], error: Exception) -> None:
    """Let a fixture of a module or session fail for all tests that ask for it, without its finalizers."""
    fixture._finalizers.clear()  # noqa: SLF001 - pytest has no public way
    fixture.cached_result = None if fixture.scope == "function" else (None, None, (error, None))


def _set_state(session: pytest.Session, state: SetupState) -> None:
    session._setupstate = state  # noqa: SLF001 - pytest has no public way
