"""From pytest's run to what the page is made from."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from healthchecks.plugin import checks
from healthchecks.plugin.dashboard.situation import Situation, Unjudged
from healthchecks.plugin.dashboard.state import State
from healthchecks.plugin.run import Run
from healthchecks.plugin.sinks.history import Memory
from servermonitoring.values import iso


def situation(run: Run) -> Situation:
    """Once the run is over and its results are in the history."""
    return Situation(
        results=[*run.results.values()],
        memory=run.memory or Memory(),
        started=run.started,
        seconds=(datetime.now(UTC) - run.started).total_seconds(),
        host=run.host,
        interrupted=run.interrupted,
        unjudged=[*_unjudged(run)] if run.interrupted else [],
        is_gone=lambda reference: _is_gone(run, reference),
        interval=run.configuration.settings.dashboard.interval,
        state_directory=run.directory,
        page_directory=run.page_directory,
        notices=run.notices,
        environment=run.page.environment if run.page else {},
    )


def others(run: Run) -> list[dict[str, Any]]:
    """For status.json: what is known of the checks that were not in this run, and is not stale."""
    cards = run.page.overview.cards if run.page else ()
    return [
        {
            "check": each.check,
            "target": each.target,
            "group": each.group,
            "status": str(each.state),
            "since": iso(each.since or each.checked_at),
            "seconds": each.recent[-1].seconds,
            "message": each.message,
            "maintenance": each.maintenance,
            "checked_at": iso(each.checked_at),
        }
        for each in cards
        if each.checked_at and each.state is not State.STALE
    ]


def _unjudged(run: Run) -> Iterator[Unjudged]:
    for item in run.without_result():
        target = checks.target_of(item)
        name = checks.check_name(item), checks.target_name(item)
        yield Unjudged(*name, checks.label(item), target.group if target else "")


def _is_gone(run: Run, reference: str) -> bool:
    """Only a kind that this run has loaded can be told to have lost a target; only a whole run knows all faults."""
    if reference.startswith(checks.FAULT):
        return run.is_whole
    kinds = {kind.kind(): targets for kind, targets in run.configuration.kinds().items()}
    targets = kinds.get(reference.partition(".")[0])
    return targets is not None and all(each.reference != reference for each in targets)
