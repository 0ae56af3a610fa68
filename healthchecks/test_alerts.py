"""Alerts arrive: what has waited for an hour in a spool tells that Sentry or the webhook cannot be reached."""

import time
from pathlib import Path

import pytest

from servermonitoring.delivery import Delivery
from servermonitoring.values import in_words

_LONGEST = 3600.0  # seconds; several runs in a row could not deliver


@pytest.mark.healthcheck
def test_alerts_delivered(state_directory: Path) -> None:
    spools = [each for each in (state_directory / "spool").glob("*") if each.is_dir()]
    if not spools:
        pytest.skip("no [sentry] in servermonitoring.toml")
    waiting = {each.name: _ages(each) for each in spools}
    late = {name: ages for name, ages in waiting.items() if max(ages, default=0.0) > _LONGEST}
    assert not late, "; ".join(_in_words(name, ages) for name, ages in late.items())


def _ages(spool: Path) -> list[float]:
    found = (Delivery.named(path.name) for path in spool.iterdir())
    return [time.time() - each.time / 1e9 for each in found if each is not None]


def _in_words(name: str, ages: list[float]) -> str:
    count = f"{len(ages)} alert{'s' if len(ages) > 1 else ''}"
    return f"{count} for {name} could not be delivered, the oldest for {in_words(round(max(ages)))}"
