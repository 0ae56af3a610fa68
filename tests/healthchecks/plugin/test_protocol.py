"""The short protocol reports what pytest's own would: only hooks that have nothing to do are left out."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

CHECKS = """
    import logging

    import pytest
    from healthchecks import Target, Unhealthy, attach, capture_message, probe

    class Shop(Target):
        value: str

    @probe
    def goods(shop: Shop):
        if shop.value == "raises":
            raise Unhealthy("no goods")
        if shop.value == "breaks":
            raise ZeroDivisionError("no goods to divide")
        if shop.value == "prints":
            print("the goods are here")
        if shop.value == "logs":
            logging.getLogger("goods").warning("few goods")
        if shop.value == "attaches":
            attach("list.txt", "goods")
            raise Unhealthy("a list of goods")
        return shop.value

    def test_asserts(shop: Shop, goods):
        assert goods != "fails", "bad goods"
        assert goods != "compares"

    def test_says(shop: Shop, goods):
        if goods == "good":
            print("a test prints")
        if goods == "fails":
            logging.getLogger("goods").error("a test logs")
            assert goods == "right", "wrong goods"
        if goods == "compares":
            capture_message("to be seen", "warning")

    def test_breaks(goods):
        assert goods[1000:] or {"good": 1}[goods]

    @pytest.mark.xfail
    def test_expected_to_fail(goods):
        assert goods == "none"

    @pytest.mark.skipif(True, reason="closed")
    def test_skipped(goods):
        raise NotImplementedError

    @pytest.mark.healthcheck
    def test_alone():
        print("plain")
"""
VALUES = ("good", "fails", "compares", "raises", "breaks", "prints", "logs", "attaches", "good too")
NOTES = """
    import json
    import os

    def pytest_runtest_logreport(report):
        with open("reports.txt", "a") as file:
            sections = [(name, text) for name, text in report.sections]
            print(json.dumps([report.nodeid, report.when, report.outcome, sections, report.duration == 0.0]), file=file)
"""
FOREIGN = """
    def pytest_runtest_setup(item):
        pass
"""


@pytest.fixture
def shops(suite):
    """Checks that pass, fail, break, print, log and attach, of shops of which the last needs one that fails."""
    suite.write("test_mine.py", CHECKS)
    tables = [f'[shop.s{number}]\nvalue = "{value}"\n' for number, value in enumerate(VALUES)]
    suite.configure("".join([*tables, 'needs = ["shop.s1"]\n', "[shop.again]\nvalue = 'fails'\nretries = 1\n"]))
    return suite


def run(suite, conftest):
    """Return what is left of a run, without its times, and pytest's reports in their order."""
    suite.write("conftest.py", NOTES + conftest)
    (suite.folder / "reports.txt").unlink(missing_ok=True)
    outcome = suite.run("test_mine.py", "--junitxml=junit.xml", "-rA", "--showlocals")
    checks = {name: _timeless(entry) for name, entry in outcome.checks.items()}
    cases = [[*case.iter()] for case in ET.parse(suite.folder / "junit.xml").iter("testcase")]
    junit = [[(each.tag, each.get("name"), each.get("message"), each.text) for each in case] for case in cases]
    reports = [json.loads(line) for line in (suite.folder / "reports.txt").read_text().splitlines()]
    return outcome.status, checks, junit, _without_seconds(outcome.output), reports


def test_same_as_with_the_hooks_of_pytest(shops):
    """A hook of the user around each test is why pytest's own protocol runs."""
    status, checks, junit, output, reports = run(shops, "")
    assert (status, len(checks)) == (1, 5 * (len(VALUES) + 1) + 1), output
    for state in (shops.state, shops.page):
        state.rename(state.with_name(f"{state.name}-before"))
    assert (status, checks, junit, output) == (slow := run(shops, FOREIGN))[:4]
    assert [each[:4] for each in reports] == [each[:4] for each in slow[4]]


def test_only_checks_that_are_silent_are_short(shops):
    """The setup of the others takes a time, however short."""
    reports = run(shops, "")[4]
    short = {each[0].partition("::")[2] for each in reports if each[1] == "setup" and each[4]}
    assert {"test_asserts[s0]", "test_asserts[s1]", "test_asserts[s8]", "test_asserts[s3]"} <= short
    assert not short & {"test_asserts[s5]", "test_asserts[s6]", "test_says[s0]", "test_says[s1]", "test_alone"}
    assert not any("expected" in name or "skipped" in name for name in short)


def _timeless(entry):
    return {name: value for name, value in entry.items() if name not in {"duration", "started", "since", "time"}}


def _without_seconds(output):
    return re.sub(r"\d+(\.\d+)? ?m?s\b", "TIME", output)


def test_what_a_test_that_is_no_check_leaves_is_collected(suite):
    """Its finalizer's error is a warning of pytest's, here an error, which ends the run with status 3."""
    suite.write(
        "test_mine.py",
        """
        import gc

        from healthchecks import Target, probe

        class Shop(Target):
            pass

        @probe
        def goods(shop: Shop):
            pass

        def test_goods(goods):
            pass

        class Left:
            def __init__(self):
                self.itself = self

            def __del__(self):
                raise ValueError("left by a test")

        def test_other():
            left = Left()
            gc.collect()  # so that only a full collection finds it later
        """,
    )
    suite.configure("[shop.a]\n")
    outcome = suite.run("-W", "error")
    assert outcome.status == 3, outcome.output
