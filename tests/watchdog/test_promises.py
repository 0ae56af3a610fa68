"""Each promise of docs/watchdog.md names tests that are there."""

import ast
import re
from pathlib import Path

import pytest

from tests import ROOT

HERE = Path(__file__).parent
TEXT = (ROOT / "docs" / "watchdog.md").read_text()
SECTION = TEXT.partition("\n## Promises\n")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (.*?) \| (`test_.*`) \|$", SECTION, re.MULTILINE)


def names_in(name):
    """The names of the tests in a file of this directory."""
    path = HERE / name
    tree = ast.parse(path.read_text() if path.exists() else "")
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_there_are_promises():
    assert len(ROWS) >= 10


@pytest.mark.parametrize("row", ROWS, ids=[promise[:40] for promise, _ in ROWS])
def test_every_promise_has_its_test(row):
    """One that is renamed or dropped would leave a promise that nothing holds."""
    for name in row[1].split(", "):
        file, _, test = name.strip("`").partition("::")
        assert test in names_in(file), f"no {test} in tests/watchdog/{file}"
