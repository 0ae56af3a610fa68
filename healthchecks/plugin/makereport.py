"""Turns pytest's report of a check into its Result, and scrubs both."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from healthchecks.plugin import collection
from healthchecks.plugin.check_names import check_name, label, target_name
from healthchecks.plugin.metric import Metric, merged
from healthchecks.plugin.outcome import CheckOutcome, describe, explained, is_broken, outcome_of, printable
from healthchecks.plugin.outputs import scrub_report
from healthchecks.plugin.probes.message import DETAILS, short_traceback
from healthchecks.plugin.result import Attachment, CheckError, LogLine, NotProbed, Result, Status, text_of
from healthchecks.plugin.run import Run
from healthchecks.plugin.runtest import ATTACHED, JOBS, METRICS, Blocked

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.target import Target


_LOG = pytest.StashKey[list[LogLine]]()
_EXPLAINED = (CheckError, NotProbed)  # errors whose text says all: where they were raised is of no use to anybody


def hides_traceback(call: pytest.CallInfo[None]) -> bool:
    """Return whether it is shown nowhere: of a bad service, and of an error whose text says all."""
    if call.excinfo is None or isinstance(error := call.excinfo.value, pytest.skip.Exception):
        return False
    return isinstance(error, _EXPLAINED) or (call.when == "call" and not is_broken(error))


def _spare_traceback(call: pytest.CallInfo[None]) -> None:
    """Cut a traceback that is not shown to one line: pytest would walk through all of it."""
    if call.excinfo is not None and hides_traceback(call):
        call.excinfo.traceback = call.excinfo.traceback[-1:]


def record(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, run: Run) -> None:
    """Put the result of this phase on the report, as what `report.keep()` records, and scrub the report.

    Raise nothing: where no result can be made of what a check left, its status is error, and the others go on.
    """
    try:
        _record(item, call, report, run)
    except Exception as error:  # noqa: BLE001 - whatever a check may have done to its report
        report.outcome, report.sections, report.user_properties = "failed", [], []
        outcome = CheckOutcome(Status.ERROR, f"the result cannot be recorded: {describe(error)}")
        report.longrepr = outcome.message
        vars(report)["keep"] = partial(run.results.record, _result(item, report, outcome, run))


def _record(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, run: Run) -> None:
    jobs = item.stash.get(JOBS, [])
    _keep_log(item, report.when, run)
    is_call = report.when == "call"
    if is_call and jobs:
        report.duration = max(job.duration for job in jobs)
    error = explained(call.excinfo.value if call.excinfo else None, item)
    outcome = _take_outcome(item, call, report, error)
    if is_call and outcome.status.is_passing and (saved := run.results.describe_retries(item)):
        outcome = replace(outcome, message="; ".join(filter(None, [outcome.message, saved])))
        report.sections.append(("Retries", saved))
    metrics, outcome = _take_metrics(item, report, outcome) if is_call else ((), outcome)
    _scrub(report, outcome)
    if is_call or report.outcome != "passed":
        attachments = [each for job in jobs for each in job.attachments] + item.stash.get(ATTACHED, [])
        kind = type(error).__name__ if error and outcome.status.is_failure else ""
        _put_result(report, _result(item, report, outcome, run, kind, attachments, metrics), item, run)


def _take_outcome(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, error: BaseException | None
) -> CheckOutcome:
    """Return the outcome of this phase, and have the report show its error as we show errors."""
    outcome = outcome_of(report, error, collection.target_of(item))
    if isinstance(error, Blocked):
        outcome = CheckOutcome(Status.BLOCKED, error.msg or "")
        report.longrepr = (str(item.path), 1, f"Skipped: {error.msg}")  # pytest puts the exception's name there
    if outcome.status is Status.ERROR and call.excinfo:
        report.longrepr = _details(call.excinfo, error)
    return outcome


def _put_result(report: pytest.TestReport, result: Result, item: pytest.Item, run: Run) -> None:
    vars(report)["keep"] = partial(run.results.record, result)
    if collection.is_check(item) and not result.status.is_failure:  # what no retry changes, a signal must not lose
        run.results.record(result)
    vars(report)["extras"] = [*getattr(report, "extras", []), *_extras(result)]  # what pytest-html reads


def _take_metrics(
    item: pytest.Item, report: pytest.TestReport, outcome: CheckOutcome
) -> tuple[Sequence[Metric], CheckOutcome]:
    """Return what probes and test have reported, and the outcome, which is an error if that is too much."""
    reported = [each for job in item.stash.get(JOBS, []) for each in job.metrics] + item.stash.get(METRICS, [])
    try:
        metrics = merged(reported)
    except ValueError as error:
        if outcome.status.is_failure:
            return (), outcome
        report.outcome, report.longrepr = "failed", str(error)
        return (), CheckOutcome(Status.ERROR, str(error))
    if metrics:
        _record_properties(item, report, metrics)
    return metrics, outcome


def _record_properties(item: pytest.Item, report: pytest.TestReport, metrics: Sequence[Metric]) -> None:
    """Have JUnit XML hold the metrics, each once, whatever an earlier try has reported."""
    names = {each.name for each in metrics}
    kept = [each for each in item.user_properties if each[0] not in names]
    item.user_properties[:] = [*kept, *((each.name, each.value) for each in metrics)]
    report.user_properties = [*item.user_properties]


def _result(  # noqa: PLR0913, PLR0917 - what a result consists of
    item: pytest.Item,
    report: pytest.TestReport,
    outcome: CheckOutcome,
    run: Run,
    kind: str = "",
    attachments: Sequence[Attachment] = (),
    metrics: Sequence[Metric] = (),
) -> Result:
    target = collection.target_of(item)
    check, name = check_name(item), target_name(item)
    log: list[LogLine] = item.stash.get(_LOG, [])
    reference = _reference(item, check, target, named=target is not None and target.name == name != "")
    return Result(
        check=check,
        target=name,
        label=label(item),
        status=outcome.status,
        message=outcome.message,
        duration=round(report.duration, 4),
        started=datetime.now(UTC) - timedelta(seconds=report.duration),
        host=run.host,
        group=target.group if target else "",
        maintenance=target is not None and (target.maintenance or run.in_maintenance(target.reference, reference)),
        silence=run.silences.find(reference, check, name),
        details=str(report.longrepr) if outcome.status is Status.ERROR else "",
        kind=kind,
        failure_threshold=target.failure_threshold if target else 1,
        success_threshold=target.success_threshold if target else 1,
        severity=target.severity if target else "critical",
        runbook=target.runbook if target else "",
        local=target is not None and target.local,
        log=log,
        attachments=attachments,
        metrics=metrics,
        peer=next((job.peer for job in item.stash.get(JOBS, []) if job.peer), None),
        extras={
            "reference": reference,
            "nodeid": item.nodeid,
            **(item.extras() if isinstance(item, collection.CheckItem) else {}),
        },
    )


def _reference(item: pytest.Item, check: str, target: "Target | None", *, named: bool) -> str:
    if not collection.is_check(item):
        return f"{collection.FAULT}{check}"
    return target.reference if target and (named or target.single) else check


def begin_log(item: pytest.Item) -> None:
    """Forget what was logged in an earlier try."""
    item.stash[_LOG] = []


def _keep_log(item: pytest.Item, when: str | None, run: Run) -> None:
    """Keep what was logged in this phase."""
    if when == "setup":
        begin_log(item)
    if run.outputs.log:
        item.stash[_LOG].extend(run.outputs.log.take())


def _details(excinfo: pytest.ExceptionInfo[BaseException], error: BaseException | None) -> str:
    """Return the traceback for the author of a check, as it was in the process that raised the error."""
    if isinstance(error, _EXPLAINED):
        return printable(getattr(error, "details", "") or text_of(error))
    return getattr(error, DETAILS, "") or short_traceback(excinfo)


def _scrub(report: pytest.TestReport, outcome: CheckOutcome) -> None:
    if outcome.status is Status.FAILED:
        report.longrepr = outcome.message
    elif report.longrepr is not None and not isinstance(report.longrepr, tuple):
        report.longrepr = text_of(report.longrepr)
    scrub_report(report)


def _extras(result: Result) -> list[dict[str, object]]:
    if not result.attachments:
        return []
    import base64

    from pytest_html import extras

    return [
        extras.image(base64.b64encode(each.content).decode(), each.name)
        if each.is_picture
        else extras.text(each.content.decode(), each.name)
        for each in result.attachments
    ]


def is_other_test(item: pytest.Item, run: Run) -> bool:
    """Return whether this is a test in a folder of checks, but no check: its failure is shown and alerted as well."""
    return not collection.is_check(item) and item.path.parent in run.selection.folders


def make_report(
    item: pytest.Item, call: pytest.CallInfo[None], run: Run
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Wrap pytest's own hook. A test in a folder of checks that is not a check is recorded only where it fails."""
    is_other = is_other_test(item, run)
    if not is_other and not collection.is_check(item):
        report = yield
        scrub_report(report)
        return report
    _spare_traceback(call)
    report = yield
    record(item, call, report, run)
    if is_other and not report.failed:
        vars(report).pop("keep", None)
    return report
