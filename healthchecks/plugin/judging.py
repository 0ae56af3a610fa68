"""The call phase of a check: its probes are exchanged for their values, then the test judges them."""

import inspect
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.outcomes import Skipped  # what pytest.skip raises: only a subclass of it is told from a plain skip
from _pytest.unittest import TestCaseFunction

from healthchecks.plugin import checks
from healthchecks.plugin.attachments import Attachment
from healthchecks.plugin.execution import execute_test, refuse_value
from healthchecks.plugin.job import Job, current_job
from healthchecks.plugin.logs import replay
from healthchecks.plugin.progress import show_waiting
from healthchecks.plugin.run import Run

if TYPE_CHECKING:
    from healthchecks.plugin.target import Target


class Blocked(Skipped):
    """Something that this check needs is not well."""


def judge(item: pytest.Function, run: Run) -> None:
    """Call the test with the values of its probes, on the stage. Raises what it raises."""
    target = checks.target_of(item)
    stop_if_blocked(target, run)
    jobs = {name: value for name, value in item.funcargs.items() if isinstance(value, Job)}
    for name, job in jobs.items():
        item.funcargs[name] = value_of(item, run, job)
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # noqa: SLF001 - as pytest does
    attached = item.stash[ATTACHED] = list[Attachment]()
    call = partial(_keep_attached, attached, partial(execute_test, partial(item.obj, **arguments)))
    if item.config.getoption("usepdb", default=False):
        call()
    elif jobs:
        run.stage.run("the test", call, checks.timeout_of(item))
    else:
        await_test(item, run, call)


def _keep_attached(attached: list[Attachment], call: Callable[[], object]) -> object:
    """Let the test attach, too: what it judges it can show."""
    try:
        return call()
    finally:
        if job := current_job():
            attached += job.attachments


def await_test(item: pytest.Item, run: Run, call: Callable[[], object]) -> object:
    """Run a test that contacts its target itself, and wait for it as for a probe."""
    job = run.stage.begin(item.name, call, checks.timeout_of(item))
    item.stash.setdefault(JOBS, []).append(job)
    show_waiting(job, partial(run.stage.waiting, job), run)
    return run.stage.finish(job)


def prepare(item: pytest.Item, run: Run) -> None:
    """Have tests that are called by others than `judge` bounded and looked at as those are."""
    if isinstance(item, TestCaseFunction):
        _prepare_method(item)
    elif isinstance(item, pytest.Function):
        if inspect.iscoroutinefunction(item.obj):  # which a plugin for such may run by itself
            item.obj = _judged(item.obj)
        return
    if not isinstance(item, checks.CheckItem) and "runtest" not in vars(item):
        vars(item)["runtest"] = partial(_run_foreign, item, run, item.runtest)


def _run_foreign(item: pytest.Item, run: Run, runtest: Callable[[], object]) -> None:
    stop_if_blocked(checks.target_of(item), run)
    await_test(item, run, runtest)


def _prepare_method(item: TestCaseFunction) -> None:
    import unittest

    is_coroutine = inspect.iscoroutinefunction(item.obj)
    if is_coroutine and isinstance(item.instance, unittest.IsolatedAsyncioTestCase):  # which awaits it
        setattr(item.instance, item.name, _judged(item.obj))
    else:
        item.obj = wraps(item.obj)(partial(execute_test, item.obj))


def _judged(function: Callable[..., Coroutine[Any, Any, object]]) -> Callable[..., Coroutine[Any, Any, None]]:
    @wraps(function)
    async def judged(*arguments: Any, **named: Any) -> None:
        refuse_value(await function(*arguments, **named))

    return judged


def stop_if_blocked(target: "Target | None", run: Run) -> None:
    """Raises Blocked where something that the target needs is not well."""
    if target and (behind := run.behind(target.needs)):
        raise Blocked(f"behind {behind}", _use_item_location=True)


def value_of(item: pytest.Item, run: Run, job: Job) -> object:
    """Return the value of the probe, or raise what it raised; log now what it logged."""
    item.stash.setdefault(JOBS, []).append(job)
    try:
        show_waiting(job, run.pool.waiting, run)
        return run.pool.wait(job)
    finally:
        replay(job)


JOBS = pytest.StashKey[list[Job]]()
ATTACHED = pytest.StashKey[list[Attachment]]()
