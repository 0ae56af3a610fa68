"""However a test of pytest's can end: exit status, terminal, page, status.json, history and alerts agree on it."""

import json
import re
import sqlite3
from collections import Counter
from contextlib import closing
from xml.etree import ElementTree as ET

import pytest

from healthchecks.plugin.history import NAMES
from tests.reliability import reliability

CASES = """
    import unittest
    import pytest
    from healthchecks import Target, Unhealthy, probe

    class Job(Target):
        pass

    check = pytest.mark.healthcheck

    @probe
    def skips(job: Job) -> None:
        pytest.skip("nothing to probe")

    @probe
    def fails(job: Job) -> None:
        raise Unhealthy("is down")

    @pytest.fixture
    def setup_fails():
        raise OSError("no disk")

    @pytest.fixture
    def setup_skips():
        pytest.skip("no tape")

    @pytest.fixture
    def teardown_fails():
        yield
        raise OSError("disk gone")

    @check
    def test_passes(): pass

    @check
    def test_fails(): assert 1 == 2, "differ"

    @check
    def test_breaks(): len(5)

    @check
    def test_exits(): raise SystemExit(0)

    @check
    def test_fails_by_pytest(): pytest.fail("gave up")

    @check
    def test_skips(): pytest.skip("no tape")

    def test_skipped_probe(job: Job, skips): pass

    def test_failed_probe(job: Job, fails): pass

    @pytest.mark.xfail(reason="known since May")
    def test_expected_probe(job: Job, fails): pass

    @check
    @pytest.mark.xfail(reason="known since May")
    def test_expected(): assert 1 == 2, "differ"

    @check
    @pytest.mark.xfail(strict=True)
    def test_expected_strictly(): assert 1 == 2, "differ"

    @check
    @pytest.mark.xfail(run=False, reason="crashes")
    def test_expected_and_not_run(): assert 1 == 2, "differ"

    @check
    def test_expected_inside(): pytest.xfail("known since May")

    @check
    @pytest.mark.xfail(raises=OSError, reason="known since May")
    def test_expected_otherwise(): assert 1 == 2, "differ"

    @check
    @pytest.mark.xfail(reason="known since May")
    def test_unexpected(): pass

    @check
    @pytest.mark.xfail(strict=True, reason="known since May")
    def test_unexpected_strictly(): pass

    @check
    def test_setup_fails(setup_fails): pass

    @check
    def test_setup_skips(setup_skips): pass

    @check
    def test_teardown_fails(teardown_fails): pass

    @check
    def test_both_fail(teardown_fails): assert 1 == 2, "differ"

    @check
    def test_skips_and_teardown_fails(teardown_fails): pytest.skip("no tape")

    @check
    class Cases(unittest.TestCase):
        def test_case_fails(self): self.assertEqual(1, 2, "differ")

        @unittest.skip("no tape")
        def test_case_skips(self): pass

        @unittest.expectedFailure
        def test_case_expected(self): self.fail("differ")

        @unittest.expectedFailure
        def test_case_unexpected(self): pass

        def test_case_subtests(self):
            for number in range(3):
                with self.subTest(number=number):
                    self.assertEqual(number, 0, "differ")
"""
EXPECTED = {
    "passes": ("ok", ""),
    "fails": ("failed", "differ"),
    "breaks": ("error", "TypeError: object of type 'int' has no len()"),
    "exits": ("error", "test_exits raised SystemExit (test_mine.py, line 42), which ends this check only"),
    "fails_by_pytest": ("failed", "gave up"),
    "skips": ("skipped", "no tape"),
    "skipped_probe": ("skipped", "nothing to probe"),
    "failed_probe": ("failed", "is down"),
    "expected_probe": ("skipped", "expected to fail: known since May"),
    "expected": ("skipped", "expected to fail: known since May"),
    "expected_strictly": ("skipped", "expected to fail: differ"),
    "expected_and_not_run": ("skipped", "expected to fail: [NOTRUN] crashes"),
    "expected_inside": ("skipped", "expected to fail: known since May"),
    "expected_otherwise": ("failed", "differ"),
    "unexpected": ("ok", ""),
    "unexpected_strictly": ("error", "[XPASS(strict)] known since May"),
    "setup_fails": ("error", "OSError: no disk"),
    "setup_skips": ("skipped", "no tape"),
    "teardown_fails": ("error", "OSError: disk gone"),
    "both_fail": ("failed", "differ; OSError: disk gone"),
    "skips_and_teardown_fails": ("error", "OSError: disk gone"),
    "case_fails": ("failed", "1 != 2 : differ"),
    "case_skips": ("skipped", "no tape"),
    "case_expected": ("skipped", "expected to fail"),
    "case_unexpected": ("failed", "Unexpected success"),
    "case_subtests": ("failed", "2 != 0 : differ"),
}
WORDS = {"failed": "FAILED", "error": "ERROR", "ok": "ok", "skipped": "skipped"}
BAD = {name for name, (status, _) in EXPECTED.items() if status in ("failed", "error")}


@pytest.fixture
def cases(suite, website):
    website.answer("/hook", "ok")
    suite.write("test_mine.py", CASES)
    suite.configure(f"[job.one]\n[alerts]\nmax_per_run = 0\nwebhook = '{website.url('/hook')}'\n")
    return suite


def by_pytest(suite):
    """What pytest itself says of each test: whether it is bad."""
    bad = {}
    for case in ET.parse(suite.folder / "junit.xml").iter("testcase"):
        name = case.attrib["name"].removeprefix("test_").partition("[")[0]
        bad[name] = bad.get(name, False) or any(each.tag in ("failure", "error") for each in case)
    return {name for name, is_bad in bad.items() if is_bad}


def on_page(suite):
    """The state of each check that has a card, by its label."""
    text = (suite.page / "index.html").read_text()
    cards = re.findall(r'data-status="(\w+)".*?<h3>.*?<bdi>(.*?)</bdi>', text, re.DOTALL)
    return {label: state for state, label in cards if label in EXPECTED}


def in_history(suite):
    with closing(sqlite3.connect(suite.state / "history.sqlite")) as database:
        rows = database.execute("SELECT name, status, message FROM results JOIN checks ON id = check_id").fetchall()
    return {name: (str(NAMES[status]), message) for name, status, message in rows}


@reliability(
    "Checks",
    fault="a check is skipped, expected to fail, passes unexpectedly, or fails in its setup or teardown",
    promise="exit status, terminal, page, status.json, history and alerts agree",
)
def test_all_outputs_agree(cases, website):
    outcome = cases.run("test_mine.py", "--junitxml=junit.xml", "-v")
    assert outcome.status == 1
    reported = {each["check"]: (each["status"], each["message"]) for each in outcome.document["checks"]}
    assert reported == EXPECTED
    assert in_history(cases) == EXPECTED
    assert by_pytest(cases) == BAD
    alerted = {json.loads(request.body)["check"]: json.loads(request.body)["status"] for request in website.requests}
    assert alerted == {name: EXPECTED[name][0] for name in BAD}
    counts = Counter(status for status, _ in EXPECTED.values())
    total = counts.total() - counts["skipped"]
    assert f"{counts['failed']} of {total} checks failed, {counts['error']} ended in error" in outcome.output
    shown = on_page(cases)
    assert shown == {name: EXPECTED[name][0] for name in shown}
    assert shown.keys() >= BAD - {"failed_probe"}, "a check with a probe has its target's label"
    for name, (status, message) in EXPECTED.items():
        label = f"{name}[one]" if name.endswith("_probe") else name  # several checks of one target
        line = rf"^{WORDS[status]} +{re.escape(label)} +{re.escape(message)}"
        assert re.search(line, outcome.output, re.MULTILINE), name


ALONE = ["exits", "setup_fails", "teardown_fails", "unexpected_strictly"]


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - BAD) + ALONE)
def test_exit_status_of_one(cases, website, name):
    group, end = "Cases::" * name.startswith("case_"), "[one]" * name.endswith("_probe")
    outcome = cases.run(f"test_mine.py::{group}test_{name}{end}")
    assert [each["status"] for each in outcome.document["checks"]] == [EXPECTED[name][0]]
    assert outcome.document["status"] == ("failed" if name in BAD else "ok")
    assert outcome.status == (name in BAD), outcome.output
    assert len(website.requests) == (name in BAD)
