"""The end of a run: every output gets the results, then suite errors are alerted, and the process ends in time."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import PurePath

import pytest

from healthchecks.plugin import collection_errors, history, metrics, status_json, suite_errors
from healthchecks.plugin.html_report import others, situation
from healthchecks.plugin.outcome import describe
from healthchecks.plugin.result import Result
from healthchecks.plugin.run import Run
from servermonitoring import completion, threads
from servermonitoring.threads import bounded

_PATIENCE = 2  # seconds for the history, on a disk that does not answer

_PATIENCE_AT_WORK = 30  # seconds, when it has answered: an old one is brought to the present schema, once


def finish(run: Run, exitstatus: int | pytest.ExitCode) -> None:
    """Hand the results to the sinks, in order; one that fails is told, and harms no other."""
    run.interruption.is_ending = True
    run.end_checks()
    _note_cut(run, exitstatus)
    with _sink(run, "history"):
        run.memory = _remember(run)
        run.courses = run.memory.courses
    with _sink(run, "alerts"):
        _tell(run, run.results.values())
    with _sink(run, "reports"):
        _keep_reports(run)
    with _sink(run, "page"):
        if run.page:
            run.page.end(run.session)
        _publish(run)
    with _sink(run, "metrics"):
        _export(run)


def conclude(run: Run) -> None:
    """Once the hooks of others had their turn: tell what is wrong with the suite, and wait for what is delivered."""
    if run.is_concluded:
        return
    run.is_concluded = True
    with _sink(run, "alerts"):
        _tell(run, [*suite_errors.results(run), *collection_errors.over(run)])
        if run.telling:
            run.telling.deliver(_exit_status(run))
    if run.interruption.signal and not run.interrupted:
        run.interrupted = True
        run.notices.append(f"{run.interruption.signal} came when all checks had a result")
    if len(run.notices) > run.shown_notices:
        with _sink(run, "page"):
            _publish(run)
    run.lock.release()
    completion.announce(_exit_status(run), run.troubles)


def settle(run: Run) -> int:
    """When pytest has nothing left to call: say what nobody has seen yet, set the exit status and return it."""
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        for notice in run.notices[run.said_notices :]:
            sys.stderr.write(f"healthchecks: {notice}\n")
    run.session.exitstatus = status = _exit_status(run)
    return status


def _note_cut(run: Run, exitstatus: int | pytest.ExitCode) -> None:
    """Whatever ended the run, a signal or -x: page and status.json say so while there are checks without a result."""
    left = len(run.without_result())
    has_ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not run.interruption.signal
    run.interrupted = left > 0 or not has_ended
    if left:
        reason = run.interruption.signal or run.session.shouldstop or run.session.shouldfail
        by = f" ({reason})" if reason else ""
        run.notices.append(f"cut off{by}: {left} of {len(run.items)} checks have no result")


def _exit_status(run: Run) -> int:
    """pytest's, but never one that says all is well when a hook failed, or a signal ended the run."""
    status = int(run.session.exitstatus)
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        if run.interruption.signal:
            return pytest.ExitCode.INTERRUPTED
        if suite_errors.PYTEST in run.troubles:
            return pytest.ExitCode.INTERNAL_ERROR
    return status


@contextlib.contextmanager
def _sink(run: Run, name: str) -> Iterator[None]:
    """Whatever breaks in a sink is a trouble of its own, and no end of the others."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - also what nobody thought of
        run.trouble(name, f"{name}: {describe(error)}")


def _keep_reports(run: Run) -> None:
    """Before the page, which links to theirs."""
    if "healthchecks.sql_reports.items" in sys.modules:  # loaded by the first report
        from healthchecks.sql_reports.publish import finish as finish_reports

        finish_reports(run)


def _remember(run: Run) -> history.Memory:
    seconds = (datetime.now(UTC) - run.started).total_seconds()
    name = history.run_name(is_part=bool(run.part))
    finished = history.FinishedRun([*run.results.values()], run.started, seconds, run.interrupted, name)
    days, path = run.configuration.settings.history.days, run.directory / history.NAME
    try:
        bounded(lambda: history.look(path), _PATIENCE)
        memory = bounded(lambda: history.remember(run.directory, days, finished), _PATIENCE_AT_WORK)
    except TimeoutError as error:
        memory = history.Memory(troubles=[f"history {path}: {error}", _keep(run, finished)])
    run.notices += memory.notices
    if memory.troubles:
        run.trouble("history", "; ".join(memory.troubles))
    return memory


def _keep(run: Run, finished: history.FinishedRun) -> str:
    try:
        return bounded(lambda: history.keep(run.directory, finished), 1.0)
    except TimeoutError:
        return "this run is not in it"


def _tell(run: Run, results: Iterable[Result]) -> None:
    if run.telling:
        run.telling.tell(results)


def _publish(run: Run) -> None:
    if run.page is None:
        return
    run.shown_notices = len(run.notices)
    seen = situation(run)
    with _written(run, "the page could not be written, the old one is still there"):
        run.page.publish(seen)
    with _written(run, f"{status_json.NAME} could not be written, the old one is still there"):
        checks = status_json.entries(run.results.values(), run.courses)
        left = len(run.without_result())
        status_json.write(
            run.page_directory, run.host, checks, others(run), interrupted=run.interrupted, without_result=left
        )
    with _written(run, "the page could not be kept among those of earlier runs"):
        run.page.keep(seen)
    with _written(run, "not all badges could be written"):
        run.page.write_badges()


@contextlib.contextmanager
def _written(run: Run, failure: str) -> Iterator[None]:
    """A file that cannot be written costs no other one."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - also what nobody thought of
        run.trouble("page", f"{failure}: {error if isinstance(error, OSError) else describe(error)}")


def _export(run: Run) -> None:
    """For Prometheus, where that is asked for."""
    if (textfile := run.configuration.settings.metrics.textfile) is None:
        return
    kinds = run.configuration.kinds()
    configured = {kind.kind(): {each.reference for each in targets} for kind, targets in kinds.items()}
    try:
        metrics.write(run.configuration.beside(textfile), run.directory, run.results.values(), run.courses, configured)
    except OSError as error:
        run.trouble("metrics", f"metrics {textfile} could not be written: {error.strerror or error}")


_PROGRAMS = ("pytest", "py.test", "__main__.py")

_GRACE = 3.0  # seconds that threads of checks may hold the exit

_LATE = 10.0  # seconds after the run's timeout


def leave(exitstatus: int) -> None:
    """From the end of the run: have the process end with this status although threads of checks still run.

    Python waits for every thread that is no daemon, and for the workers of a ThreadPoolExecutor in any case. Does
    nothing where pytest is only a part of another program.
    """
    if PurePath(sys.argv[0]).name in _PROGRAMS and any(map(_is_foreign, threading.enumerate())):
        threads.start(_leave, exitstatus, name="healthchecks-leave")


def _is_foreign(thread: threading.Thread) -> bool:
    """Our own are daemons: they end with the process."""
    return thread is not threading.main_thread() and not thread.name.startswith(("healthchecks", "probe "))


def _leave(exitstatus: int) -> None:
    time.sleep(_GRACE)  # where nothing holds the exit this thread is gone by then
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(exitstatus)


def interrupt_when_late(run: "Run") -> threading.Timer:
    """Interrupt the run, as SIGTERM does, when something that has no limit of its own makes it late.

    That is a hook or a plugin of others: checks are bounded on the stage. Gives the timer, to be cancelled when all
    have been judged.
    """

    def interrupt() -> None:
        run.trouble("pytest", f"the run was still under way {_LATE:g} s after its timeout, and was interrupted")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    timer = threading.Timer(run.pool.ends_at - time.monotonic() + _LATE, interrupt)
    timer.daemon, timer.name = True, "healthchecks-late"
    with contextlib.suppress(RuntimeError):  # the system gives no more threads
        timer.start()
    return timer
