"""docs/reliability.md says what the tests hold: it is generated from them."""

import subprocess
import sys

import pytest

from tests import ROOT
from tests.reliability import AREAS, Promise, as_markdown, reliability


def test_the_document_is_what_the_tests_say():
    done = subprocess.run(
        [sys.executable, "ci/reliability", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_area_has_a_promise():
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert [area for area in AREAS if f"\n## {area}\n" not in text] == []


def test_a_promise_is_a_row_of_its_area():
    area = next(iter(AREAS))
    text = as_markdown([Promise(area, "a | b", "two\n  lines", "tests/test_a.py::test_b")])
    assert f"## {area}\n" in text
    assert "| a \\| b | two lines | `tests/test_a.py::test_b` |" in text


def test_an_area_that_is_not_listed_is_refused():
    with pytest.raises(KeyError, match="Elsewhere"):
        reliability("Elsewhere", fault="", promise="")
