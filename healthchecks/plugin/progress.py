"""On a terminal: how many probes are still awaited, and for how long at most. Under cron: nothing."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from healthchecks.plugin.job import Job
from healthchecks.plugin.run import Run
from servermonitoring.values import in_words

_INTERVAL = 0.5  # seconds between two looks of the person who waits


def show_waiting(job: Job, waiting: Callable[[], tuple[int, float]], run: Run) -> None:
    """Until the job is done or its time is over: notice signals, and show a person on a terminal what is awaited.

    `waiting` says how many jobs are awaited, and for how many seconds at most.
    """
    line = _Line(run.session.config)
    with run.interruption.held():
        while (still := waiting())[1] > 0 and not job.done.wait(min(_INTERVAL, still[1])):
            run.interruption.check()
            line.show(_line(*waiting()))
        line.remove()


class _Line:
    """One that is rewritten, and then taken away; on a terminal only."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._is_shown = False

    def show(self, text: str) -> None:
        if self._reporter is None or not self._reporter.isatty:
            return
        with _uncaptured(self._config):
            if not self._is_shown:
                self._reporter.ensure_newline()
            self._reporter.rewrite(text, erase=True)
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


def _line(count: int, seconds: float) -> str:
    return f"waiting for {count} probe{'s' if count != 1 else ''}, at most {in_words(round(seconds))} more"
