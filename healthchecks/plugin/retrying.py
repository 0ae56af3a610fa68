"""`retries`: a failing target is probed again at once, and judged anew after all others.

The second judgement is deferred, not awaited, so that 200 failing targets are probed again side by side.
"""

import pytest
from _pytest.runner import runtestprotocol

from healthchecks.plugin import checks
from healthchecks.plugin.judging import JOBS
from healthchecks.plugin.run import Run


def run_with_retries(item: pytest.Item, nextitem: pytest.Item | None, run: Run) -> bool | None:
    """As pytest's own protocol, but a failure with retries left is not reported; the test comes once more."""
    target = checks.target_of(item)
    if target is None or run.retries[item] >= target.retries:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    failed = [report for report in reports if report.failed]
    if failed:
        run.first_failures.setdefault(item, _message(failed[0]))
        _defer(item, run)
    else:
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _message(report: pytest.TestReport) -> str:
    """Of the result that `recording` has put on the report."""
    return str(vars(report)["keep"].args[0].message)


def _defer(item: pytest.Item, run: Run) -> None:
    run.retries[item] += 1
    item.stash[JOBS] = []
    target = checks.target_of(item)
    for probe in checks.probes_of(item):
        if target is not None:
            run.pool.again(probe, target)
    item.session.items.append(item)
