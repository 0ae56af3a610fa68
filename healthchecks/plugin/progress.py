"""On a terminal: how many measurements are still awaited, and for how long at most. Under cron: nothing."""

import contextlib
from typing import Any

import pytest

from healthchecks.plugin.job import Job
from healthchecks.plugin.measuring import Pool
from servermonitoring.values import in_words

_INTERVAL = 0.5  # seconds between two looks of the person who waits


def await_job(job: Job, pool: Pool, config: pytest.Config) -> object:
    """The job's value, as `pool.wait` gives it; meanwhile a line that is rewritten and then taken away."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.isatty:
        shown = False
        while not job.done.wait(_INTERVAL) and pool.is_open():
            with _uncaptured(config):
                if not shown:
                    reporter.ensure_newline()
                reporter.rewrite(_line(pool), erase=True)
            shown = True
        if shown:
            with _uncaptured(config):
                reporter.rewrite("", erase=True)
                reporter.rewrite("")
    return pool.wait(job)


def _uncaptured(config: pytest.Config) -> contextlib.AbstractContextManager[None]:
    """While a test runs, pytest takes what is written for the test's own output."""
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()


def _line(pool: Pool) -> str:
    count, seconds = pool.waiting()
    return f"waiting for {count} measurement{'s' if count != 1 else ''}, at most {in_words(round(seconds))} more"
