"""Delivery of alerts: fails when alerts wait for too long, or when a channel refuses them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from healthchecks import metric
from servermonitoring import clock
from servermonitoring.delivery.spool import REASON, REFUSED, listing, names
from servermonitoring.files import read_regular
from servermonitoring.values import counted, in_words

_LONGEST = 3600.0  # seconds; several runs in a row could not deliver
_DAY = 86400.0  # seconds for which a refused alert makes the check fail
_REASON_LENGTH = 10_000  # bytes
_BY_ENVIRONMENT = ("sentry", "watchdog")  # a variable that this run may lack configures them


@pytest.mark.healthcheck(local=True)
def test_alerts_delivered(state_directory: Path, alert_channels: list[str]) -> None:
    """Check every spool there is: that of the watchdog, and of a channel that is configured no more, too."""
    spools = [each for each in sorted((state_directory / "spool").glob("*")) if each.is_dir()]
    if not spools and not alert_channels:
        pytest.skip("no [sentry] dsn in force, and no [alerts] webhook or notify")
    ages = {spool: _ages(spool) for spool in spools}
    waiting = [age for each in ages.values() for age in each]
    metric("waiting", len(waiting))
    metric("oldest", max(waiting, default=0.0), "seconds", limit=_LONGEST)
    unused = [spool for spool in spools if spool.name not in {*alert_channels, *_BY_ENVIRONMENT}]
    wrong = [
        each for spool in spools for each in (*_late(spool, ages[spool], is_unused=spool in unused), *_refused(spool))
    ]
    assert not wrong, "; ".join(wrong)


def _ages(spool: Path) -> Sequence[float]:
    """Return for how many seconds each of its alerts has waited."""
    return [clock.time() - each.time / 1e9 for each in listing(spool).entries]


def _late(spool: Path, ages: Sequence[float], *, is_unused: bool) -> Iterator[str]:
    """Yield how many alerts wait, if it is for too long, and what to do with those that nobody will ever send."""
    oldest = max(ages, default=0.0)
    if oldest > _LONGEST:
        to_do = f" (no channel of the configuration uses this spool: delete {spool})" if is_unused else ""
        waiting = f"{counted(len(ages), 'alert')} to {spool.name} not delivered"
        yield f"{waiting}, the oldest for {in_words(round(oldest))}{to_do}"


def _refused(spool: Path) -> Iterator[str]:
    try:
        files = [(spool / REFUSED / name).lstat() for name in names(spool / REFUSED)]
    except OSError:
        return
    if count := sum(clock.time() - each.st_mtime < _DAY for each in files):
        yield f"{counted(count, 'alert')} refused by {spool.name} within a day: {_reason(spool)}"


def _reason(spool: Path) -> str:
    """Return why the last one was refused: status and first words of the response."""
    try:
        return read_regular(spool / REASON, _REASON_LENGTH).decode(errors="replace")
    except (OSError, ValueError):
        return f"see {spool / REFUSED}"
