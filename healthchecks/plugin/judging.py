"""The call phase of a check: its measurements are exchanged for their values, then the test judges them."""

from functools import partial
from typing import TYPE_CHECKING

import pytest
from _pytest.outcomes import Skipped  # what pytest.skip raises: only a subclass of it is told from a plain skip

from healthchecks.plugin import checks
from healthchecks.plugin.job import Job
from healthchecks.plugin.logs import replay
from healthchecks.plugin.progress import await_job
from healthchecks.plugin.run import Run

if TYPE_CHECKING:
    from healthchecks.plugin.target import Target


class Blocked(Skipped):
    """Something that this check needs is not well."""


def judge(item: pytest.Function, run: Run) -> bool:
    """Whether the test was called here: one without measurements is, under the deadline of its target."""
    target = checks.target_of(item)
    stop_if_blocked(target, run)
    jobs = {name: value for name, value in item.funcargs.items() if isinstance(value, Job)}
    for name, job in jobs.items():
        item.funcargs[name] = value_of(item, run, job)
    if jobs or target is None:
        return False
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # noqa: SLF001 - as pytest does
    value_of(item, run, run.pool.call(item.name, partial(item.obj, **arguments), target.deadline))
    return True


def stop_if_blocked(target: "Target | None", run: Run) -> None:
    """Raises Blocked where something that the target needs is not well."""
    if target and (behind := run.behind(target.needs)):
        raise Blocked(f"behind {behind}", _use_item_location=True)


def value_of(item: pytest.Item, run: Run, job: Job) -> object:
    """What was measured; raises what the measurement raised. What it logged is logged now."""
    item.stash.setdefault(JOBS, []).append(job)
    try:
        return await_job(job, run)
    finally:
        replay(job)


JOBS = pytest.StashKey[list[Job]]()
