"""Setup and teardown of checks, on the stage: pytest's own, within limits of time.

`Phases` takes the place of pytest's SetupState, which holds what is set up for the present test, from the session
to the test itself. The thread of a phase that is abandoned may still change that state at any time: so a copy takes
its place.
"""

from collections.abc import Callable
from functools import partial

import pytest
from _pytest.runner import SetupState

from healthchecks.plugin import checks
from healthchecks.plugin.stage import Abandoned, Stage


class Phases(SetupState):
    """Made for a run that holds checks; other tests of the same run are set up as ever."""

    def __init__(self, session: pytest.Session, stage: Stage) -> None:
        super().__init__()
        self._session, self._stage = session, stage
        self._check: pytest.Item | None = None

    def setup(self, item: pytest.Item) -> None:
        """Raises Abandoned where that does not end within the check's deadline."""
        self._check = item if checks.is_check(item) and not item.config.getoption("usepdb", default=False) else None
        try:
            self._run("setup", partial(super().setup, item))
        except Abandoned:
            self._copy().stack.pop(item, None)
            raise

    def teardown_exact(self, nextitem: pytest.Item | None) -> None:
        """Raises Abandoned where that does not end within the check's deadline; the rest is torn down all the same."""
        try:
            self._run("teardown", partial(super().teardown_exact, nextitem))
        except Abandoned:
            self._copy().teardown_exact(nextitem)
            raise

    def _run(self, phase: str, call: Callable[[], None]) -> None:
        if self._check is None:
            call()
        else:
            self._stage.run(phase, call, checks.deadline_of(self._check))

    def _copy(self) -> "Phases":
        """The state without what the abandoned thread is at, as pytest's from now on."""
        copy = Phases(self._session, self._stage)
        copy.stack, copy._check = dict(self.stack), self._check
        self._session._setupstate = copy  # noqa: SLF001 - pytest has no public way
        return copy
