"""Metrics of checks: reported in a probe or a test, bounded, kept with the result, in status.json and JUnit XML."""

import math
import xml.etree.ElementTree as ET
from decimal import Decimal

import pytest

from healthchecks.plugin.metric import MOST_METRICS, Metric, make_metric, merged

CHECKS = """
    import pytest
    from healthchecks import Target, Unhealthy, metric, probe

    class Shop(Target):
        pass

    @probe
    def stock(shop: Shop):
        metric("goods", 7, limit=100, lower_limit=5)
        metric("filled", 0.07, "ratio")
        if shop.name == "closed":
            raise Unhealthy("the shop is closed")
        return 7

    def test_stock(shop: Shop, stock):
        metric("goods", stock + 1)
        assert stock != 8

    def test_with_fixture(shop: Shop, stock, tmp_path):
        metric("room", 2.5e9, "bytes", limit=3e9)

    @pytest.mark.healthcheck
    def test_plain():
        metric("age", 12.5, "seconds")
"""


def entry(name, value, unit="none", limit=None, lower_limit=None):
    return {"name": name, "value": value, "unit": unit, "limit": limit, "lower_limit": lower_limit}


@pytest.fixture
def shop(suite):
    suite.write("test_mine.py", CHECKS)
    suite.configure("[shop.open]\n[shop.closed]\n")
    return suite


def test_metrics_of_probe_and_test(shop):
    """The value that the test reports last replaces the probe's; a failed probe keeps what it has reported."""
    outcome = shop.run("test_mine.py", "--junitxml=junit.xml")
    metrics = {name: check["metrics"] for name, check in outcome.checks.items()}
    of_probe = [entry("goods", 7.0, limit=100.0, lower_limit=5.0), entry("filled", 0.07, "ratio")]
    assert metrics == {
        "stock[open]": [entry("goods", 8.0), of_probe[1]],
        "stock[closed]": of_probe,
        "with_fixture[open]": [*of_probe, entry("room", 2.5e9, "bytes", 3e9)],
        "with_fixture[closed]": of_probe,
        "plain[]": [entry("age", 12.5, "seconds")],
    }, outcome.output
    cases = {case.get("name"): case for case in ET.parse(shop.folder / "junit.xml").iter("testcase")}
    properties = [(each.get("name"), each.get("value")) for each in cases["test_stock[open]"].iter("property")]
    assert properties == [("goods", "8.0"), ("filled", "0.07")]


def test_metrics_after_a_retry(shop):
    """Each is there once, with the value of the last try."""
    shop.configure("[shop.closed]\nretries = 2\n")
    outcome = shop.run("test_mine.py", "--junitxml=junit.xml", "-k", "test_stock")
    assert [each["name"] for each in outcome.checks["stock[closed]"]["metrics"]] == ["goods", "filled"]
    assert (shop.folder / "junit.xml").read_text().count('name="goods"') == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("metric('', 1)", "a name is a text of 1 to 100 printable characters"),
        ("metric('a\\nb', 1)", "a name is a text of 1 to 100 printable characters"),
        ("metric('x' * 101, 1)", "a name is a text of 1 to 100 printable characters"),
        ("metric('used', 50, '%')", "metric \"used\": unit '%' is none of seconds, bytes, ratio, celsius, none"),
        ("metric('used', float('nan'))", 'metric "used": value nan is not finite'),
        ("metric('used', 1, limit=float('inf'))", 'metric "used": limit inf is not finite'),
        ("metric('used', '1')", "metric \"used\": value '1' is no number"),
        ("metric('used', True)", 'metric "used": value True is no number'),
        ("metric('used', 10 ** 400)", "is no number"),
        ("for number in range(21): metric(f'number {number}', 1)", "a check has at most 20 metrics"),
    ],
)
def test_what_is_no_metric(suite, call, message):
    """It is an error of the check that says what is wrong; the others go on."""
    suite.write(
        "test_mine.py",
        f"""
        import pytest
        from healthchecks import metric

        @pytest.mark.healthcheck
        def test_wrong():
            {call}

        @pytest.mark.healthcheck
        def test_right():
            metric("used", 1)
        """,
    )
    outcome = suite.run()
    assert outcome.checks["wrong[]"]["status"] == "error"
    assert message in outcome.checks["wrong[]"]["message"]
    assert outcome.checks["right[]"]["status"] == "ok"


def test_too_many_of_probe_and_test_together(suite):
    suite.write(
        "test_mine.py",
        """
        from healthchecks import Target, metric, probe

        class Shop(Target):
            pass

        @probe
        def stock(shop: Shop):
            for number in range(15):
                metric(f"number {number}", 1)

        def test_stock(stock):
            for number in range(10, 25):
                metric(f"number {number}", 1)
        """,
    )
    suite.configure("[shop.open]\n")
    outcome = suite.run()
    check = outcome.checks["stock[open]"]
    assert (check["status"], check["metrics"]) == ("error", [])
    assert check["message"] == "a check has at most 20 metrics, this one has 25"
    assert outcome.status == 1


def test_numbers_of_other_kinds():
    assert make_metric("used", Decimal("0.5"), "ratio", limit=1) == Metric("used", 0.5, "ratio", 1.0)
    with pytest.raises(ValueError, match="no number"):
        make_metric("used", 1j)
    assert math.isclose(make_metric("used", 3).value, 3.0)


def test_merged_keeps_the_order_and_the_last_value():
    metrics = [Metric("a", 1.0), Metric("b", 2.0), Metric("a", 3.0)]
    assert merged(metrics) == (Metric("a", 3.0), Metric("b", 2.0))
    with pytest.raises(ValueError, match=f"at most {MOST_METRICS}"):
        merged(Metric(str(number), 1.0) for number in range(MOST_METRICS + 1))
