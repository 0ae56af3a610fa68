"""What went wrong in the suite itself, told like failing checks: `suite[history]`, `suite[page]` …"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from healthchecks.plugin.outputs import scrub_repr
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.run import Run
from healthchecks.plugin.verdict import describe
from servermonitoring.scrubbing import scrub

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr

CHECK = "suite"
PYTEST = "pytest"
_PARTS = ("state", "history", "page", "metrics", "alerts", PYTEST)


def results(run: Run) -> Iterator[Result]:
    """One for each part of the suite: broken, or well again."""
    judged = (*_PARTS, "reports") if run.of_reports else _PARTS  # only its own runs can say that a part is well
    for part in {*judged, *run.troubles}:
        text = scrub(run.troubles.get(part, ""))
        yield Result(
            check=CHECK,
            target=part,
            label=f"{CHECK}[{part}]",
            status=Status.ERROR if text else Status.OK,
            message=text,
            seconds=0.0,
            started=run.started,
            host=run.host,
            local=True,
        )


class InternalErrors:
    """A plugin of one run: whatever ends pytest itself is told, too."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @pytest.hookimpl(tryfirst=True)  # before the terminal prints it
    def pytest_internalerror(self, excrepr: "TerminalRepr", excinfo: "pytest.ExceptionInfo[BaseException]") -> None:
        scrub_repr(excrepr)
        self._run.trouble(PYTEST, f"pytest itself failed: {describe(excinfo.value)}")
