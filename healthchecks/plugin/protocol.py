"""The protocol of a check: pytest's own, or a short one for a check that nothing is set up for.

Most checks ask for targets and probes only, and their assertions run in the tester. pytest's hooks around their setup,
call and teardown capture output and logs that cannot come, and make fixtures that nobody uses: half of what a healthy
check would cost. The short protocol reports the same three phases, through the same hooks for reports.
"""

from functools import partial
from typing import Any

import pytest
from _pytest.runner import check_interactive_exception, get_reraise_exceptions, runtestprotocol

from healthchecks.plugin import collection
from healthchecks.plugin.lookahead import jobs_of
from healthchecks.plugin.makereport import begin_log, hides_traceback
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.result import text_of
from healthchecks.plugin.run import Run
from healthchecks.plugin.runtest import JOBS, NeedsCaptureError, defer, run_in_tester
from servermonitoring import clock

_HOOKS = (  # which the short protocol leaves out, or calls once and not three times
    "pytest_runtest_protocol", "pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown",
    "pytest_runtest_makereport", "pytest_pyfunc_call", "pytest_fixture_setup", "pytest_fixture_post_finalizer",
)  # fmt: skip
_KNOWN = ("_pytest.", "healthchecks.", "pytest_html.", "pytest_metadata.", "xdist.")  # whose hooks do nothing else


class Protocol:
    """Of one run."""

    def __init__(self, run: Run) -> None:
        config = run.session.config
        self._run = run
        self.are_all_short = True
        """Whether no check has run in this process so far."""
        self._may_be_short = not config.getoption("setupshow", default=False) and all(
            _module(each.plugin).startswith(_KNOWN)
            for name in _HOOKS
            for each in getattr(config.hook, name).get_hookimpls()
        )

    def execute(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a check and report it, but not a failure while retries are left: the check runs again later.

        Return None, and do nothing, if pytest is to run it.
        """
        run, target, hooks = self._run, collection.target_of(item), item.ihook
        is_last = target is None or run.results.retries[item] >= target.retries
        jobs = self._jobs(item, nextitem)
        if is_last and not jobs:
            self.are_all_short = False
            return None
        hooks.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = self._short(item, jobs) if jobs else []
        if not reports:
            self.are_all_short = False
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
        failed = next((report for report in reports if report.failed), None)
        if failed and not is_last:
            run.results.first_failures.setdefault(item, str(vars(failed)["keep"].args[0].message))
            defer(item, run)
        else:
            for report in reports:
                hooks.pytest_runtest_logreport(report=report)
        hooks.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _jobs(self, item: pytest.Item, nextitem: pytest.Item | None) -> dict[str, ProbeJob]:
        """Return the jobs of a check that needs no more than their values; none if it needs pytest's own protocol."""
        may_be_short = self._may_be_short and self._has_nothing_around(item, nextitem)
        return jobs_of(item, self._run.pool) if may_be_short else {}

    def _short(self, item: Any, jobs: dict[str, ProbeJob]) -> list[pytest.TestReport]:
        """Return the reports of the phases; none if pytest's own protocol is needed after all."""
        item.stash[JOBS] = []
        begin_log(item)
        call = partial(run_in_tester, item, self._run, jobs)
        try:
            info = pytest.CallInfo.from_call(
                call, when="call", reraise=(NeedsCaptureError, *get_reraise_exceptions(item.config))
            )
        except NeedsCaptureError:
            item.stash[JOBS] = []
            return []
        report = _report(item, info)
        if check_interactive_exception(info, report):
            item.ihook.pytest_exception_interact(node=item, call=info, report=report)
        return [_quiet(item, "setup", report), report, _quiet(item, "teardown", report)]

    def _has_nothing_around(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Return whether the check needs no setup, and no teardown follows it."""
        if (
            not self._may_be_short
            or not collection.needs_data_only(item)
            or collection.has_conditions(item)
            or "runtest" in vars(item)
        ):
            return False
        is_set_up = bool(item.session._setupstate.stack)  # noqa: SLF001 - pytest has no public way
        return not is_set_up or (nextitem is not None and nextitem.parent is item.parent)


PROTOCOL = pytest.StashKey[Protocol]()


def _report(item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
    """Return the report of the call. pytest does not describe an error whose traceback is not shown."""
    if hides_traceback(call):
        vars(item)["repr_failure"] = lambda excinfo: text_of(excinfo.value)
    try:
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    finally:
        vars(item).pop("repr_failure", None)
    return report


def _quiet(item: pytest.Item, when: Any, call: pytest.TestReport) -> pytest.TestReport:
    """Return the report of a phase in which nothing happened."""
    now = clock.time()
    return pytest.TestReport(
        item.nodeid, item.location, call.keywords, "passed", None, when, start=now, stop=now,
        user_properties=item.user_properties,
    )  # fmt: skip


def _module(plugin: Any) -> str:
    return f"{getattr(plugin, '__name__', type(plugin).__module__)}."
