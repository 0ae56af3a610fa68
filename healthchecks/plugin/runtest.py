"""Runs one check: waits for its probes, runs the test, and probes again for a retry."""

import contextlib
import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.unittest import TestCaseFunction

from healthchecks.plugin import collection
from healthchecks.plugin.check_names import check_name, target_name
from healthchecks.plugin.logs import log_surroundings, replay
from healthchecks.plugin.metric import Metric
from healthchecks.plugin.probes.execution import execute_test, refuse_value
from healthchecks.plugin.probes.forked import ChildSettings, ForkedCall
from healthchecks.plugin.probes.forked_process import LATE
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.message import Message, value_of_bytes
from healthchecks.plugin.result import Attachment, CheckError, ProbeTimeout, Status, Unhealthy
from healthchecks.plugin.run import Run
from healthchecks.plugin.stage import AbandonedError, Phase
from healthchecks.plugin.surroundings import keeps_streams
from servermonitoring.values import counted, in_words

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.target import Target


_INTERVAL = 0.5  # seconds between two updates of the line on the terminal


def show_waiting(job: ProbeJob, waiting: Callable[[], tuple[int, float]], run: Run) -> None:
    """Wait until the job is done or its timeout has expired; handle signals, and show the wait on a terminal.

    `waiting` says how many jobs are awaited, and for how many seconds at most.
    """
    if job.done.is_set():
        return
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
    return f"waiting for {counted(count, 'probe')}, at most {in_words(round(seconds))} more"


class Blocked(pytest.skip.Exception):  # type: ignore[name-defined,misc]
    """Something that this check needs has failed."""


def run_test(item: pytest.Function, run: Run) -> None:
    """Run the test with the values of its probes, in another process. Raise what it raises."""
    stop_if_blocked(collection.target_of(item), run)
    jobs = {name: value for name, value in item.funcargs.items() if isinstance(value, ProbeJob)}
    values = {name: value_of(item, run, job) for name, job in jobs.items()}
    call = partial(_call, item, values)
    if item.config.getoption("usepdb", default=False):
        call()
    elif not jobs:
        await_test(item, run, call)
    elif collection.needs_data_only(item):
        _in_tester(item, run, values)
    else:
        _in_child(item, run, call)


def _call(item: pytest.Function, values: Mapping[str, bytes]) -> None:
    item.funcargs.update({name: value_of_bytes(value) for name, value in values.items()})
    names = collection.fixture_info(item).argnames
    execute_test(partial(item.obj, **{name: item.funcargs[name] for name in names}))


class NeedsCaptureError(BaseException):
    """The check has printed or logged something: it belongs to the report that pytest makes when it captures."""


def run_in_tester(item: pytest.Function, run: Run, jobs: Mapping[str, ProbeJob]) -> None:
    """Run the test. Raise what it raises, or NeedsCaptureError: then `run_test` has to follow."""
    stop_if_blocked(collection.target_of(item), run)
    for job in jobs.values():
        show_waiting(job, run.pool.waiting, run)
        if job.records or job.output:
            raise NeedsCaptureError
    values = {name: value_of(item, run, job) for name, job in jobs.items()}
    message = _message(item, run, values)
    if message.records or message.output:
        item.stash[MESSAGE] = message
        raise NeedsCaptureError
    _finish(item, message)


def _in_tester(item: pytest.Function, run: Run, values: Mapping[str, bytes]) -> None:
    """Have the tester run the test, unless it has done so."""
    message = item.stash.get(MESSAGE, None)
    if message is None:
        message = _message(item, run, values)
    else:
        del item.stash[MESSAGE]
    _finish(item, message)


def _message(item: pytest.Function, run: Run, values: Mapping[str, bytes]) -> Message:
    """Return what came of the test in the tester, in whose place another one steps if it is killed."""
    try:
        return run.lookahead.message(item, values)
    except ProbeTimeout:
        raise _abandoned(collection.timeout_of(item)) from None


def _in_child(item: pytest.Function, run: Run, call: Callable[[], object]) -> None:
    """Have a child run the test, whose fixtures only this process has."""
    timeout, forked = collection.timeout_of(item), _forked(item, run, call)
    try:
        message = run.stage.run(Phase("the test", partial(_wait_for_child, forked, timeout, run), timeout, 2 * LATE))
    except ProbeTimeout:
        raise _abandoned(timeout) from None
    _finish(item, message)


def _finish(item: pytest.Item, message: Message) -> None:
    """Take over what a test has left. Raise what it raised, or AbandonedError if it took too long."""
    _take_over(item, message)
    if message.is_overdue:
        raise _abandoned(collection.timeout_of(item))
    message.raise_error()


def _abandoned(timeout: float) -> AbandonedError:
    return AbandonedError(f"the test did not end within {in_words(timeout)}")


def _wait_for_child(forked: ForkedCall, timeout: float, run: Run) -> Message:
    return forked.run(timeout, run.stage.latest_end())


def _forked(item: pytest.Item, run: Run, call: Callable[[], object]) -> ForkedCall:
    properties = len(item.user_properties)

    def call_with_subtests() -> None:
        call()
        _raise_subtest(item, run)

    def complete(message: Message) -> None:
        message.properties = item.user_properties[properties:]
        message.extras = [*getattr(item, "funcargs", {}).get("extras", ())]

    memory, (level, handlers) = run.configuration.settings.run.worker_memory, log_surroundings(item.config)
    settings = ChildSettings(memory, level, handlers, keeps_streams(item.config))
    return ForkedCall(item.name, call_with_subtests, settings, complete)


def _raise_subtest(item: pytest.Item, run: Run) -> None:
    """Raise what a subtest has reported, which has ended and failed already: in this process nobody reads that."""
    result = run.results.get((check_name(item), target_name(item)))
    if result is not None and result.status is Status.FAILED:
        raise Unhealthy(result.message)
    if result is not None and result.status is Status.ERROR:
        raise CheckError(result.message, result.details)


def _take_over(item: pytest.Item, message: Message) -> None:
    """Take what a test did in another process as if it had been done here."""
    item.stash[ATTACHED], item.stash[METRICS] = [*message.attachments], [*message.metrics]
    item.user_properties += message.properties
    if message.extras:
        item.funcargs["extras"][:] = message.extras  # type: ignore[attr-defined]
    replay(message.records, message.output)


def await_test(item: pytest.Item, run: Run, call: Callable[[], object]) -> None:
    """Run a test that contacts its target itself, and wait for it as for a probe."""
    if item.config.getoption("usepdb", default=False):
        call()
        return
    timeout, forked = collection.timeout_of(item), _forked(item, run, call)
    phase = Phase(item.name, partial(_wait_for_child, forked, timeout, run), timeout, 2 * LATE)
    job = run.stage.begin(phase)
    item.stash.setdefault(JOBS, []).append(job)
    show_waiting(job, partial(run.stage.waiting, job), run)
    message = run.stage.finish(job)
    job.started, job.ended = message.started, message.ended
    _take_over(item, message)
    message.raise_error()


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
    await_test(item, run, partial(_call_foreign, item, runtest))


def _call_foreign(item: pytest.Item, runtest: Callable[[], object]) -> None:
    """Run it; raise what unittest only notes on the item."""
    runtest()
    noted: list[pytest.ExceptionInfo[BaseException]] = getattr(item, "_excinfo", None) or []
    if noted:
        raise noted[0].value


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


def value_of(item: pytest.Item, run: Run, job: ProbeJob) -> bytes:
    """Return the value of the probe, pickled, or raise what it raised; log and print now what it logged."""
    item.stash.setdefault(JOBS, []).append(job)
    try:
        show_waiting(job, run.pool.waiting, run)
        value: bytes = run.pool.wait(job)
        return value
    finally:
        replay(job.records, job.output)


JOBS = pytest.StashKey[list[ProbeJob]]()
MESSAGE = pytest.StashKey[Message]()  # what came of a test that has run, and whose outcome is still to be reported
ATTACHED = pytest.StashKey[list[Attachment]]()  # by the test itself, as the next
METRICS = pytest.StashKey[list[Metric]]()


def defer(item: pytest.Item, run: Run) -> None:
    """Have the check run again later, with new values of its probes."""
    run.results.retries[item] += 1
    item.stash[JOBS] = []
    target = collection.target_of(item)
    for probe in collection.probes_of(item):
        if target is not None:
            run.pool.again(probe, target)
    item.session.items.append(item)
