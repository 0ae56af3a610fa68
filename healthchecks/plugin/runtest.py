"""Runs one check: waits for its probes, runs the test, and probes again for a retry."""

import contextlib
import inspect
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol
from _pytest.unittest import TestCaseFunction

from healthchecks.plugin import collection
from healthchecks.plugin.logs import replay
from healthchecks.plugin.pool import execute_test, refuse_value
from healthchecks.plugin.probe import ProbeJob, current_job
from healthchecks.plugin.result import Attachment
from healthchecks.plugin.run import Run
from servermonitoring.values import in_words

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.target import Target


_INTERVAL = 0.5  # seconds between two updates of the line on the terminal


def show_waiting(job: ProbeJob, waiting: Callable[[], tuple[int, float]], run: Run) -> None:
    """Wait until the job is done or its timeout has expired; handle signals, and show the wait on a terminal.

    `waiting` says how many jobs are awaited, and for how many seconds at most.
    """
    line = _Line(run.session.config)
    with run.interruption.held():
        while (still := waiting())[1] > 0 and not job.done.wait(min(_INTERVAL, still[1])):
            run.interruption.check()
            line.show(_line(*waiting()))
        line.remove()


class _Line:
    """A line that is rewritten, and then removed; on a terminal only."""

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
    """Suspend pytest's capture, which would take this for output of the test."""
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()


def _line(count: int, seconds: float) -> str:
    return f"waiting for {count} probe{'s' if count != 1 else ''}, at most {in_words(round(seconds))} more"


class Blocked(pytest.skip.Exception):  # type: ignore[name-defined,misc]
    """Something that this check needs has failed."""


def run_test(item: pytest.Function, run: Run) -> None:
    """Run the test with the values of its probes, in the thread for tests. Raise what it raises."""
    target = collection.target_of(item)
    stop_if_blocked(target, run)
    jobs = {name: value for name, value in item.funcargs.items() if isinstance(value, ProbeJob)}
    for name, job in jobs.items():
        item.funcargs[name] = value_of(item, run, job)
    arguments = {name: item.funcargs[name] for name in collection.fixture_info(item).argnames}
    attached = item.stash[ATTACHED] = list[Attachment]()
    call = partial(_keep_attached, attached, partial(execute_test, partial(item.obj, **arguments)))
    if item.config.getoption("usepdb", default=False):
        call()
    elif jobs:
        run.stage.run("the test", call, collection.timeout_of(item))
    else:
        await_test(item, run, call)


def _keep_attached(attached: list[Attachment], call: Callable[[], object]) -> object:
    """Keep what the test itself attaches."""
    try:
        return call()
    finally:
        if job := current_job():
            attached += job.attachments


def await_test(item: pytest.Item, run: Run, call: Callable[[], object]) -> object:
    """Run a test that contacts its target itself, and wait for it as for a probe."""
    job = run.stage.begin(item.name, call, collection.timeout_of(item))
    item.stash.setdefault(JOBS, []).append(job)
    show_waiting(job, partial(run.stage.waiting, job), run)
    return run.stage.finish(job)


def prepare(item: pytest.Item, run: Run) -> None:
    """Give tests that `run_test` does not call, such as unittest's, the same timeout and the same rules."""
    if isinstance(item, TestCaseFunction):
        _prepare_method(item)
    elif isinstance(item, pytest.Function):
        if inspect.iscoroutinefunction(item.obj):  # which a plugin for such may run by itself
            item.obj = _refusing_value(item.obj)
        return
    if not isinstance(item, collection.CheckItem) and "runtest" not in vars(item):
        vars(item)["runtest"] = partial(_run_foreign, item, run, item.runtest)


def _run_foreign(item: pytest.Item, run: Run, runtest: Callable[[], object]) -> None:
    stop_if_blocked(collection.target_of(item), run)
    await_test(item, run, runtest)


def _prepare_method(item: TestCaseFunction) -> None:
    import unittest

    is_coroutine = inspect.iscoroutinefunction(item.obj)
    if is_coroutine and isinstance(item.instance, unittest.IsolatedAsyncioTestCase):  # which awaits it
        setattr(item.instance, item.name, _refusing_value(item.obj))
    else:
        item.obj = wraps(item.obj)(partial(execute_test, item.obj))


def _refusing_value(function: Callable[..., Coroutine[Any, Any, object]]) -> Callable[..., Coroutine[Any, Any, None]]:
    @wraps(function)
    async def refusing(*arguments: Any, **named: Any) -> None:
        refuse_value(await function(*arguments, **named))

    return refusing


def stop_if_blocked(target: "Target | None", run: Run) -> None:
    """Raise Blocked where a target that this one needs has failed."""
    if target and (behind := run.results.find_blocking(target.needs)):
        raise Blocked(f"behind {behind}", _use_item_location=True)


def value_of(item: pytest.Item, run: Run, job: ProbeJob) -> object:
    """Return the value of the probe, or raise what it raised; log now what it logged."""
    item.stash.setdefault(JOBS, []).append(job)
    try:
        show_waiting(job, run.pool.waiting, run)
        return run.pool.wait(job)
    finally:
        replay(job)


JOBS = pytest.StashKey[list[ProbeJob]]()
ATTACHED = pytest.StashKey[list[Attachment]]()


def run_with_retries(item: pytest.Item, nextitem: pytest.Item | None, run: Run) -> bool | None:
    """Run pytest's own protocol, but do not report a failure while retries are left: run the test again later."""
    target = collection.target_of(item)
    if target is None or run.results.retries[item] >= target.retries:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    failed = [report for report in reports if report.failed]
    if failed:
        run.results.first_failures.setdefault(item, _message(failed[0]))
        _defer(item, run)
    else:
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _message(report: pytest.TestReport) -> str:
    """Return the message of the result that `makereport` put on the report."""
    return str(vars(report)["keep"].args[0].message)


def _defer(item: pytest.Item, run: Run) -> None:
    run.results.retries[item] += 1
    item.stash[JOBS] = []
    target = collection.target_of(item)
    for probe in collection.probes_of(item):
        if target is not None:
            run.pool.again(probe, target)
    item.session.items.append(item)
