"""What the tests need in addition to Python: installed where that is possible, named and counted where it is not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.fork_server import run_pytest


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """The user nobody, who runs the installer, may enter it."""
    return public_path


def install(tmp_path: Path, listed: str, name: str = "tools.txt") -> subprocess.CompletedProcess[str]:
    """Run the installer with a list of its own, as nobody: it must not install anything for a test."""
    list_file = tmp_path / name
    list_file.write_text(f"# package command why\n\n{listed}\n")
    copy = shutil.copy(ROOT / "ci/install-test-tools", tmp_path)
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"]
    return subprocess.run(
        [*(nobody if os.geteuid() == 0 else []), copy, str(list_file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_is_missing_is_named_and_nothing_fails(tmp_path):
    """Without root, one line for each tool, and the tests go on."""
    done = install(tmp_path, "some-package no-such-command for fun\nbash bash here")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "missing for the tests: no-such-command (Debian package some-package)\n"


def test_what_the_benchmarks_miss_is_theirs(tmp_path):
    done = install(tmp_path, "some-package no-such-command for fun", "benchmark-tools.txt")
    assert done.stdout == "missing for the benchmarks: no-such-command (Debian package some-package)\n"


def test_where_all_is_there_not_a_word_is_said(tmp_path):
    done = install(tmp_path, "bash bash here\ncoreutils ls here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["test-tools.txt", "benchmark-tools.txt"])
def test_each_tool_is_listed_with_package_command_and_reason(name):
    lines = (ROOT / "ci" / name).read_text().splitlines()
    tools = [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]
    assert tools
    assert all(len(tool) == 3 for tool in tools)


@pytest.mark.parametrize("where", ["body", "fixture", "mark"])
def test_the_end_of_a_run_reports_what_a_missing_tool_cost(tmp_path, where):
    """A skipped test is easily taken for a passed one."""
    test = {
        "body": "def test_it(n): pytest.skip('missing: nosuchthing')",
        "fixture": "@pytest.fixture\ndef tool(): pytest.skip('missing: nosuchthing')\ndef test_it(n, tool): pass",
        "mark": "@pytest.mark.skip(reason='missing: nosuchthing')\ndef test_it(n): pass",
    }[where]
    (tmp_path / "test_inner.py").write_text(
        f"import pytest\n@pytest.fixture(params=[1, 2, 3])\ndef n(): pass\n{test}\n"
        "def test_other(): pytest.skip('not today')\n"
    )
    _, output = run_pytest("-q", "-p", "tests.conftest", ".", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert "missing: nosuchthing (3 tests skipped)\n" in output
    assert "not today" not in output
