"""What checks can know about their metrics in earlier runs."""

import re

import pytest

from healthchecks import past_metric
from healthchecks.plugin.history import database
from tests import ROOT
from tests.healthchecks.past import store_metric

CHECKS = """
    import time

    import pytest
    from healthchecks import Target, metric, past_metric, probe

    class Shop(Target):
        pass

    def goods():
        return [value for _, value in past_metric("stock", "open", "goods")]

    @probe
    def stock(shop: Shop):
        metric("goods", {value})
        return goods()

    def test_stock(shop: Shop, stock):
        metric("seen by probe", sum(stock))
        metric("seen by test", sum(goods()))
        metric("seen of others", len(past_metric("stock", "closed", "goods") + past_metric("stock", "open", "bads")))

    def test_with_fixture(shop: Shop, stock, tmp_path):
        metric("seen", sum(goods()))

    @pytest.mark.healthcheck
    def test_plain():
        metric("seen", sum(goods()))
        metric("seconds old", time.time() - past_metric("stock", "open", "goods", days=1)[0][0])
"""


@pytest.fixture
def two_runs(suite):
    suite.configure("[shop.open]\n")
    for value in (3, 4):
        suite.write("test_mine.py", CHECKS.format(value=value))
        suite.run()
    suite.write("test_mine.py", CHECKS.format(value=50))
    return suite


def seen(outcome, check):
    return {each["name"]: each["value"] for each in outcome.checks[check]["metrics"]}


def test_past_metric_in_each_process(two_runs):
    """In a worker, in the tester, in a child with fixtures and without: the earlier runs, not this one."""
    outcome = two_runs.run()
    assert outcome.status == 0, outcome.output
    of_stock = {"goods": 50.0, "seen by probe": 7.0, "seen by test": 7.0, "seen of others": 0.0}
    assert seen(outcome, "stock[open]") == of_stock
    assert seen(outcome, "with_fixture[open]")["seen"] == 7.0
    assert seen(outcome, "plain[]")["seen"] == 7.0
    assert 0 <= seen(outcome, "plain[]")["seconds old"] < 600


def test_history_that_cannot_be_read(two_runs):
    """Checks go on as without one."""
    (two_runs.state / database.NAME).write_bytes(b"no database" * 1000)
    outcome = two_runs.run("test_mine.py", "-k", "test_stock")
    assert outcome.checks["stock[open]"]["status"] == "ok"
    assert seen(outcome, "stock[open]")["seen by test"] == 0


def test_outside_of_a_run():
    assert past_metric("stock", "open", "goods") == []


def test_the_documented_forecast(suite):
    """The example of docs/metrics.md: ten places more are enough for two weeks."""
    (example,) = re.findall(r"```python\n(import time\n.*?)```", (ROOT / "docs/metrics.md").read_text(), re.DOTALL)
    suite.write("test_mine.py", example)
    suite.configure("[licence.office]\nplaces = 75\n[licence.home]\nplaces = 85\n")
    for target in ("office", "home"):
        store_metric(suite.state, "licence", target, "taken", lambda day: 70 + 0.8 * day)
    outcome = suite.run()
    assert outcome.message("licence[office]") == "reaches 75 places in 6 d"
    assert outcome.checks["licence[home]"]["status"] == "ok"
