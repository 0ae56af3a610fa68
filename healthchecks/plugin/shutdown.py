"""The end of a run: results go to every output, and suite errors are alerted."""

import contextlib
import functools
import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from healthchecks.plugin import collection, collection_errors, history, metrics, peer, status_json, suite_errors
from healthchecks.plugin.check_names import check_name, label, target_name
from healthchecks.plugin.configuration.target import LONGEST_RUNBOOK
from healthchecks.plugin.dashboard.snapshot import PendingCheck, Snapshot
from healthchecks.plugin.outcome import describe
from healthchecks.plugin.protocol import PROTOCOL
from healthchecks.plugin.result import Result, clean
from healthchecks.plugin.run import Run
from healthchecks.plugin.wording import CardStatus
from servermonitoring.scheduled_run.process import announce_end
from servermonitoring.threads import bounded
from servermonitoring.values import iso

_PATIENCE = 2  # seconds for the history, on a disk that does not respond
_PATIENCE_AT_WORK = 30  # seconds, when it has responded: an old one is brought to the present schema, once


def finish(run: Run, exitstatus: int | pytest.ExitCode) -> None:
    """Write the results to every output, in order; one that fails is a suite error, and harms no other."""
    run.interruption.is_ending = True
    run.end_checks()
    _note_cut(run, exitstatus)
    with _output(run, "history"):
        run.outputs.history = _record(run)
    with _output(run, "silences"):
        if not run.session.config.getoption("monitoring_no_alerts"):
            run.end_silences()
    with _output(run, "alerts"):
        _alert(run, run.results.values(), with_kills=True)
    with _output(run, "reports"):
        run.session.config.hook.pytest_healthcheck_finish(run=run)
    with _output(run, "state"):
        _keep_peers(run)
    with _output(run, "page"):
        if run.outputs.page:
            run.outputs.page.end(run.session)
        _publish(run)
    with _output(run, "metrics"):
        _export(run)


def spare_collector(run: Run) -> None:
    """Keep the results out of pytest's two garbage collections at its end, which take 0.1 ms for each check.

    What a test has left in this process is collected, for its finalizers and their errors.
    """
    protocol = run.session.config.stash.get(PROTOCOL, None)
    if protocol is not None and protocol.are_all_short and all(map(collection.is_check, run.session.items)):
        gc.freeze()


def conclude(run: Run) -> None:
    """Alert suite errors, deliver all alerts, announce the end of the run: after the hooks of others."""
    if run.is_concluded:
        return
    run.is_concluded = True
    with _output(run, "alerts"):
        _alert(run, [*suite_errors.results(run), *collection_errors.over(run)])
        if run.outputs.dispatcher:
            run.outputs.dispatcher.deliver(_exit_status(run))
    if run.interruption.signal and not run.interrupted:
        run.interrupted = True
        run.notices.append(f"{run.interruption.signal} came when all checks had a result")
    if len(run.notices) > run.shown_notices:
        with _output(run, "page"):
            _publish(run)
    run.lock.release()
    announce_end(_exit_status(run), run.suite_errors)


def settle(run: Run) -> int:
    """Print the notices not shown yet, set and return the exit status, when pytest has nothing left to call."""
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        for notice in run.notices[run.said_notices :]:
            sys.stderr.write(f"healthchecks: {notice}\n")
    run.session.exitstatus = status = _exit_status(run)
    return status


def _note_cut(run: Run, exitstatus: int | pytest.ExitCode) -> None:
    """Mark a run that a signal, -x or an error has ended early, for page, status.json and terminal."""
    left = len(run.without_result())
    has_ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not run.interruption.signal
    run.interrupted = left > 0 or not has_ended
    if left:
        reason = run.interruption.signal or run.session.shouldstop or run.session.shouldfail
        by = f" ({reason})" if reason else ""
        run.notices.append(f"cut off{by}: {left} of {len(run.selection.items)} checks have no result")


def _exit_status(run: Run) -> int:
    """Return pytest's exit status, but no success when a hook failed, or a signal ended the run."""
    status = int(run.session.exitstatus)
    if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        if run.interruption.signal:
            return pytest.ExitCode.INTERRUPTED
        if suite_errors.PYTEST in run.suite_errors:
            return pytest.ExitCode.INTERNAL_ERROR
    return status


@contextlib.contextmanager
def _output(run: Run, name: str) -> Iterator[None]:
    """Make any exception in an output a suite error, so that the others are written."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - also what nobody thought of
        run.add_suite_error(name, f"{name}: {describe(error)}")


def _record(run: Run) -> history.HistoryData:
    duration = (datetime.now(UTC) - run.started).total_seconds()
    name = history.run_name(is_part=bool(run.selection.part))
    finished = history.FinishedRun([*run.results.values()], run.started, duration, run.interrupted, name)
    days, path = run.configuration.settings.history.days, run.directory / history.NAME
    try:
        bounded(lambda: history.check_readable(path), _PATIENCE)
        data = bounded(lambda: history.record(run.directory, days, finished), _PATIENCE_AT_WORK)
    except TimeoutError as error:
        data = history.HistoryData(errors=[f"history {path}: {error}", _postpone(run, finished)])
    run.notices += data.notices
    if data.errors:
        run.add_suite_error("history", "; ".join(data.errors))
    return data


def _postpone(run: Run, finished: history.FinishedRun) -> str:
    try:
        return bounded(lambda: history.postpone(run.directory, finished), 1.0)
    except TimeoutError:
        return "the results of this run will be missing from it"


def _alert(run: Run, results: Iterable[Result], *, with_kills: bool = False) -> None:
    if run.outputs.dispatcher:
        checks = run.outputs.history.checks if run.outputs.history else ()
        run.outputs.dispatcher.dispatch(results, checks, with_kills=with_kills)


def _publish(run: Run) -> None:
    if run.outputs.page is None:
        return
    run.shown_notices = len(run.notices)
    snapshot = _take_snapshot(run)
    with _written(run, "the page could not be written, the old one is still there"):
        run.outputs.page.publish(snapshot)
    with _written(run, f"{status_json.NAME} could not be written, the old one is still there"):
        past = {each.key: each for each in run.outputs.history.checks} if run.outputs.history else {}
        checks = status_json.make_entries(run.results.values(), run.outputs.streaks, past)
        left = len(run.without_result())
        status_json.write(
            run.page_directory,
            run.host,
            checks,
            _list_other_checks(run, past),
            interrupted=run.interrupted,
            without_result=left,
        )
    with _written(run, "the page could not be kept among those of earlier runs"):
        run.outputs.page.keep(snapshot)
    with _written(run, "not all badges could be written"):
        run.outputs.page.write_badges()


def _keep_peers(run: Run) -> None:
    """Store what this run has learned of other servers, for the page of this run and of later ones."""
    if run.selection.of_reports:
        return
    found = {str(each.extras["reference"]): each.peer for each in run.results.values() if each.peer}
    try:
        known = bounded(lambda: peer.read(run.directory), _PATIENCE)
    except (OSError, ValueError) as error:
        known = {}
        run.add_suite_error("state", f"the last checks of silent peers are lost: {describe(error)}")
    run.outputs.peers = peers = peer.update(known, found, _gone_targets(run))
    if peers != known:
        bounded(lambda: peer.write(run.directory, peers), _PATIENCE)


def _take_snapshot(run: Run) -> Snapshot:
    """Return the snapshot of a finished run whose results are in the history."""
    return Snapshot(
        results=[*run.results.values()],
        history=run.outputs.history or history.HistoryData(),
        started=run.started,
        duration=(datetime.now(UTC) - run.started).total_seconds(),
        host=run.host,
        interrupted=run.interrupted,
        pending=[*_list_pending(run)] if run.interrupted else [],
        is_gone=_gone_targets(run),
        silences=run.silences,
        peers=run.outputs.peers,
        runbooks=_list_runbooks(run),
        interval=run.configuration.settings.dashboard.interval,
        state_directory=run.directory,
        page_directory=run.page_directory,
        notices=run.notices,
        environment=run.outputs.page.environment if run.outputs.page else {},
    )


def _list_other_checks(run: Run, past: Mapping[tuple[str, str], history.CheckHistory]) -> list[dict[str, Any]]:
    """Return the entries of status.json for the checks that were not in this run and are not stale."""
    cards = run.outputs.page.overview.cards if run.outputs.page else ()
    return [
        {
            "check": each.check,
            "target": each.target,
            "label": each.label,
            "group": each.group,
            "status": str(each.status),
            "since": iso(each.since or each.checked_at),
            "duration": each.recent[-1].duration,
            "message": each.message,
            "maintenance": each.maintenance,
            "silence": status_json.make_silence(each.silence),
            "runbook": each.runbook,
            "metrics": [{**vars(metric)} for metric in each.metrics],
            "checked_at": iso(each.checked_at),
            **status_json.make_past(past.get(each.key)),
        }
        for each in cards
        if each.checked_at and each.status is not CardStatus.STALE
    ]


def _list_pending(run: Run) -> Iterator[PendingCheck]:
    for item in run.without_result():
        target = collection.target_of(item)
        name = check_name(item), target_name(item)
        yield PendingCheck(*name, label(item), target.group if target else "")


def _gone_targets(run: Run) -> Callable[[str], bool]:
    """Return what says of a reference whether its target is no longer configured, as far as this run can know.

    It knows the targets of all kinds but those in files of authors that it has not loaded. Only a complete run knows
    all collection errors.
    """
    configured = functools.cache(run.configuration.references)

    def is_gone(reference: str) -> bool:
        if reference.startswith(collection.FAULT):
            return run.is_whole
        targets = configured(reference.partition(".")[0])
        return targets is not None and reference not in targets

    return is_gone


def _list_runbooks(run: Run) -> dict[str, str]:
    every = (each for targets in run.configuration.kinds().values() for each in targets)
    return {each.reference: clean(each.runbook, LONGEST_RUNBOOK) for each in every if each.runbook}


@contextlib.contextmanager
def _written(run: Run, failure: str) -> Iterator[None]:
    """Make any exception while a file is written a suite error, so that the other files are written."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - also what nobody thought of
        run.add_suite_error("page", f"{failure}: {error if isinstance(error, OSError) else describe(error)}")


def _export(run: Run) -> None:
    """Write the metrics for Prometheus, if they are configured."""
    settings = run.configuration.settings.metrics
    if settings.textfile is None:
        return
    textfile = metrics.Textfile(settings.textfile, settings.labels)
    try:
        metrics.write(textfile, run.directory, run.results.values(), run.outputs.streaks, _gone_targets(run))
    except OSError as error:
        run.add_suite_error("metrics", f"metrics {textfile.path} could not be written: {error.strerror or error}")
