"""What the project's own tests share: real servers, and a count of what missing programs cost."""

import signal
from collections import Counter
from typing import Any

import hypothesis
import pytest

from tests.scheduled import checkout  # noqa: F401 - a fixture
from tests.servers.fixtures import *  # noqa: F403 - fixtures, by their names
from tests.suite import run_suite  # noqa: F401 - a fixture

MISSING = "missing: "

# How long an example takes says more about the machine than about its subject.
hypothesis.settings.register_profile("servermonitoring", deadline=None)
hypothesis.settings.load_profile("servermonitoring")

# A run in the background is deaf to SIGINT, and so would be all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "reliability(area, fault, promise): a row of docs/reliability.md")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each missing program: how many tests could not run without it."""
    lost = Counter(_reason(report) for report in terminalreporter.getreports("skipped"))
    for reason, count in sorted(lost.items()):
        if reason.startswith(MISSING):
            tests = "1 test" if count == 1 else f"{count} tests"
            terminalreporter.write_line(f"{reason} ({tests} skipped)", yellow=True)


def _reason(report: pytest.TestReport) -> str:
    """The reason of a skip: pytest keeps (file, line, "Skipped: reason")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
