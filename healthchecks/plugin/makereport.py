"""The report of one phase of a test: a result where it is a check, and no secret in any."""

from collections.abc import Generator

import pytest

from healthchecks.plugin import checks
from healthchecks.plugin.faults import is_beside_checks
from healthchecks.plugin.outputs import scrub_report
from healthchecks.plugin.recording import record, spare_traceback
from healthchecks.plugin.run import Run


def make_report(
    item: pytest.Item, call: pytest.CallInfo[None], run: Run
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Around pytest's own. A test beside the checks is recorded only where it fails."""
    beside = is_beside_checks(item, run)
    if not beside and not checks.is_check(item):
        report = yield
        scrub_report(report)
        return report
    spare_traceback(call)
    report = yield
    record(item, call, report, run)
    if beside and not report.failed:
        vars(report).pop("keep", None)
    return report
