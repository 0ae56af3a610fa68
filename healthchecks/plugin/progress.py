"""On a terminal: how many measurements are still awaited, and for how long at most. Under cron: nothing."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from healthchecks.plugin.job import Job
from servermonitoring.values import in_words

_INTERVAL = 0.5  # seconds between two looks of the person who waits


def show_waiting(job: Job, waiting: Callable[[], tuple[int, float]], config: pytest.Config) -> None:
    """Until the job is done or its time is over, on a terminal: a line that is rewritten and then taken away.

    `waiting` says how many jobs are awaited, and for how many seconds at most.
    """
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty:
        return
    shown = False
    while not job.done.wait(_INTERVAL) and (still := waiting())[1] > 0:
        with _uncaptured(config):
            if not shown:
                reporter.ensure_newline()
            reporter.rewrite(_line(*still), erase=True)
        shown = True
    if shown:
        with _uncaptured(config):
            reporter.rewrite("", erase=True)
            reporter.rewrite("")


def _uncaptured(config: pytest.Config) -> contextlib.AbstractContextManager[None]:
    """While a test runs, pytest takes what is written for the test's own output."""
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()


def _line(count: int, seconds: float) -> str:
    return f"waiting for {count} measurement{'s' if count != 1 else ''}, at most {in_words(round(seconds))} more"
