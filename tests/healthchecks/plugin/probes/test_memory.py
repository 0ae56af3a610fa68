"""A check that takes too much memory fails, and every other check has its result."""

import pytest

from tests.healthchecks.plugin.probes.neighbours import FORMS, asserted, harm
from tests.reliability import reliability

GROWTHS = {
    "step by step": "[bytearray(b'x') * 50_000_000 for _ in range(60)]",
    "at once": "bytearray(b'x') * 3_000_000_000",
}


def assert_too_large(outcome, form, limit):
    assert harm(outcome)["status"] in ({"failed", "error"} if form is asserted else {"failed"}), outcome.output
    assert f"used more than {limit}" in harm(outcome)["message"]


@reliability(
    "Checks",
    fault="a check allocates 3 GB",
    promise="it fails with the limit in its message, every other check is recorded and alerted",
)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("growth", GROWTHS)
def test_growth(neighbours, growth, form):
    assert_too_large(neighbours.run(form(GROWTHS[growth])), form, "512 MB")


@pytest.mark.parametrize("form", FORMS)
def test_configured_limit(neighbours, form):
    """Of one worker, which has all probes."""
    neighbours.settings = '[run]\nworkers = 1\nworker_memory = "300 MB"\n'
    assert_too_large(neighbours.run(form("[bytearray(b'x') * 10_000_000 for _ in range(40)]")), form, "300 MB")
