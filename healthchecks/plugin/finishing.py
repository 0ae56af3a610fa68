"""The end of a run: every sink gets the results, then the terminal says what came of it."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from healthchecks.plugin import summary
from healthchecks.plugin.result import Status
from healthchecks.plugin.run import Run
from healthchecks.plugin.sinks import history, metrics, status_json
from servermonitoring.files import at_home

_COLOURS = {Status.FAILED: "red", Status.ERROR: "red", Status.BLOCKED: "yellow", Status.SLOW: "yellow"}


def finish(run: Run, exitstatus: int | pytest.ExitCode) -> None:
    """Hand the results to the sinks, in order; one that fails is told, and harms no other."""
    run.interrupted = exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    run.pool.close()
    run.courses = _remember(run)
    _publish(run)
    _export(run)
    run.lock.release()


def summarize(run: Run, terminal: pytest.TerminalReporter) -> None:
    """What fails, since when and why; then what was not checked, what went wrong, and where the page is."""
    results = list(run.results.values())
    terminal.write_sep("=", "health checks")
    for status, line in summary.lines(results, run.courses, verbose=terminal.verbosity > 0):
        terminal.write_line(line, **{_COLOURS.get(status, "green"): True})
    _tell_broken(run, terminal)
    cut = "Cut off before all were judged. " if run.interrupted else ""
    terminal.write_line(cut + summary.headline(results), bold=True)
    for line in [summary.skipped(results), *run.notices]:
        if line:
            terminal.write_line(line)
    if run.page:
        terminal.write_line(f"page: {run.page.path}")


def _tell_broken(run: Run, terminal: pytest.TerminalReporter) -> None:
    """A broken check is for its author: with the traceback."""
    for result in run.results.values():
        if result.details:
            terminal.write_sep("-", f"broken: {result.label}")
            terminal.write_line(result.details)


def _remember(run: Run) -> Mapping[tuple[str, str], history.Course]:
    results = list(run.results.values())
    seconds = (datetime.now(UTC) - run.started).total_seconds()
    try:
        with history.opened(run.directory, run.configuration.settings.history.days) as opened:
            opened.store(results, run.started, seconds, interrupted=run.interrupted)
            if opened.put_aside:
                run.notices.append(f"the history was damaged: put aside as {opened.put_aside}, begun anew")
            return opened.courses(results)
    except (OSError, sqlite3.Error) as error:
        run.notices.append(f"history {run.directory / history.NAME}: {error}")
        return {}


def _publish(run: Run) -> None:
    if run.page is None:
        return
    try:
        run.page.publish()
        status_json.write(run.page_directory, run.results.values(), run.courses, run.host, interrupted=run.interrupted)
    except OSError as error:
        run.page.discard()
        run.notices.append(f"the page could not be written, the old one is still there: {error}")


def _export(run: Run) -> None:
    """For Prometheus, where that is asked for."""
    if (textfile := run.configuration.settings.metrics.textfile) is None:
        return
    kinds = run.configuration.kinds()
    configured = {kind.kind(): {each.reference for each in targets} for kind, targets in kinds.items()}
    try:
        metrics.write(at_home(textfile), run.directory, run.results.values(), run.courses, configured)
    except OSError as error:
        run.notices.append(f"metrics {textfile} could not be written: {error.strerror or error}")
