"""Setup and teardown of checks, on the stage: pytest's own, within limits of time.

`Phases` takes the place of pytest's SetupState, which holds what is set up for the present test, from the session
to the test itself. The thread of a phase that is abandoned may still change that state at any time: so a copy takes
its place.
"""

import contextlib
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
from _pytest.runner import SetupState

from healthchecks.plugin import checks
from healthchecks.plugin.stage import AbandonedError, Stage
from healthchecks.plugin.surroundings import WorkingDirectory


class Fixtures:
    """The fixtures that are being set up, told by pytest: a plugin of the run."""

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
        """Those of a module or session have failed for every test that asks for them: one timeout is enough."""
        for fixture in self._under_way:
            fixture._finalizers.clear()  # noqa: SLF001 - pytest has no public way
            fixture.cached_result = None if fixture.scope == "function" else (None, None, (error, None))
        self._under_way = []


class Phases(SetupState):
    """Made for a run that holds checks; other tests of the same run are set up as ever."""

    def __init__(self, session: pytest.Session, stage: Stage, fixtures: Fixtures) -> None:
        super().__init__()
        self._session, self._stage, self._fixtures = session, stage, fixtures
        self._directory = WorkingDirectory()
        self._check: pytest.Item | None = None

    def setup(self, item: pytest.Item) -> None:
        """Raise AbandonedError where that does not end within the check's timeout."""
        self._check = item if checks.is_check(item) and not item.config.getoption("usepdb", default=False) else None
        try:
            self._run("setup", partial(super().setup, item))
        except AbandonedError as error:
            self._copy().stack.pop(item, None)
            self._fixtures.abandon(error)
            raise

    def teardown_exact(self, nextitem: pytest.Item | None) -> None:
        """Tear down all; raise AbandonedError where that does not end within the check's timeout."""
        try:
            self._run("teardown", partial(super().teardown_exact, nextitem))
        except AbandonedError:
            self._copy().teardown_exact(nextitem)
            raise
        finally:
            if self._check is not None:
                self._directory.restore()

    def _run(self, phase: str, call: Callable[[], None]) -> None:
        if self._check is None:
            call()
        else:
            self._stage.run(phase, call, checks.timeout_of(self._check))

    def _copy(self) -> "Phases":
        """The state without what the abandoned thread is at, as pytest's from now on."""
        copy = Phases(self._session, self._stage, self._fixtures)
        copy.stack, copy._check, copy._directory = dict(self.stack), self._check, self._directory
        self._session._setupstate = copy  # noqa: SLF001 - pytest has no public way
        return copy


def bound_phases(session: pytest.Session, stage: Stage) -> None:
    """From now on setup and teardown of this session's checks are on the stage."""
    fixtures = Fixtures()
    session.config.pluginmanager.register(fixtures)
    session._setupstate = Phases(session, stage, fixtures)  # noqa: SLF001 - pytest has no public way
