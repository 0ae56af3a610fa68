"""Hooks of our own, by which other plugins add checks: healthchecks/sql_reports/hooks.py is one."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from healthchecks.plugin.run import Run


@pytest.hookspec
def pytest_healthcheck_problems(session: pytest.Session) -> list[str]:  # type: ignore[empty-body]
    """Return what is wrong with options and files, one line each. Any line refuses the run before it starts."""


@pytest.hookspec
def pytest_healthcheck_finish(run: "Run") -> None:
    """Write what the plugin makes of the results: after the history and alerts, before the page of the run.

    What is raised is a suite error, and harms no other output.
    """
