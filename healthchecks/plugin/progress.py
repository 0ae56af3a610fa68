"""On a terminal: how many measurements are still awaited, and for how long at most. Under cron: nothing."""

import contextlib
from typing import Any

import pytest

from healthchecks.plugin.job import Job
from healthchecks.plugin.measuring import Pool
from healthchecks.plugin.run import Run
from servermonitoring.values import in_words

_INTERVAL = 0.5  # seconds between two looks of the person who waits


def await_job(job: Job, run: Run) -> object:
    """The job's value, as `pool.wait` gives it; meanwhile signals are noticed, and a person sees what is awaited."""
    line = _Line(run)
    with run.interruption.held():
        while not job.done.wait(_INTERVAL) and run.pool.is_open():
            run.interruption.check()
            line.show()
        line.remove()
        return run.pool.wait(job)


class _Line:
    """One that is rewritten, and then taken away; on a terminal only."""

    def __init__(self, run: Run) -> None:
        self._pool, self._config = run.pool, run.session.config
        self._reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        self._is_shown = False

    def show(self) -> None:
        if self._reporter is None or not self._reporter.isatty:
            return
        with _uncaptured(self._config):
            if not self._is_shown:
                self._reporter.ensure_newline()
            self._reporter.rewrite(_line(self._pool), erase=True)
        self._is_shown = True

    def remove(self) -> None:
        if self._is_shown:
            with _uncaptured(self._config):
                self._reporter.rewrite("", erase=True)
                self._reporter.rewrite("")


def _uncaptured(config: pytest.Config) -> contextlib.AbstractContextManager[None]:
    """While a test runs, pytest takes what is written for the test's own output."""
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()


def _line(pool: Pool) -> str:
    count, seconds = pool.waiting()
    return f"waiting for {count} measurement{'s' if count != 1 else ''}, at most {in_words(round(seconds))} more"
