"""What the project says about itself, and the tools of its developers: each said once, or held to the original."""

import re
import subprocess
import sys
import tomllib

import pytest
from trove_classifiers import classifiers

from servermonitoring import __version__
from tests.test_packaging import ROOT, tracked_files

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()
WATCHDOG = "import sys; from watchdog.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("watchdog", [sys.executable, "-c", WATCHDOG]),
        ("ci/regression", [sys.executable, str(ROOT / "ci/regression")]),
    ],
)
def test_each_program_prints_its_version_and_does_nothing(program, command, tmp_path):
    directory = ROOT if program == "watchdog" else tmp_path
    done = subprocess.run([*command, "--version"], cwd=directory, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{program} (servermonitoring) {__version__}\n", "")


def test_the_version_has_one_place():
    """The wheel's is read from there, too: tests/test_packaging.py compares them."""
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    path = PYPROJECT["tool"]["hatch"]["version"]["path"]
    named = re.compile(rb"""version\w*["']?\s*[:=]+\s*["']""" + re.escape(__version__).encode())
    code = [name for name in tracked_files() if re.search(r"\.(py|toml|cfg|json|yml|yaml)$|^(ci|deploy)/\w+$", name)]
    assert [name for name in code if named.search((ROOT / name).read_bytes())] == [path]


def test_the_changelog_begins_with_this_version():
    first = re.search(r"^## \[?([\w.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first[1] in (__version__, "Unreleased")


def test_the_changelog_has_the_form_of_keep_a_changelog():
    """Its sections by their names and in their order, below them one line for each change."""
    text = (ROOT / "CHANGELOG.md").read_text()
    order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for version in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        sections = re.findall(r"^### (.*)", version, re.MULTILINE)
        assert sections == [name for name in order if name in sections]
        for line in version.splitlines()[1:]:
            assert re.match(r"### |- \S.*\.$|[A-Z][\w,./ ]*:$|$", line), line


def test_the_classifiers_exist_and_say_what_the_rest_says():
    mine = PROJECT["classifiers"]
    assert set(mine) - set(classifiers) == set()
    assert mine == sorted(mine)
    pythons = re.findall(r":: Python :: (\d\.\d+)", "\n".join(mine))
    assert pythons[0] == PROJECT["requires-python"].removeprefix(">=")
    tried = re.findall(
        r'"(3\.\d+)"', re.search(r"^ +test:\n.*?python: \[(.*?)\]", WORKFLOW, re.MULTILINE | re.DOTALL)[1]
    )
    assert [python for python in pythons if python not in tried] == []


def test_the_workflow_does_what_is_there():
    """Its make targets and programs exist, and a program that needs root leaves nothing of root's below .cache/."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"run: make (\w+)", WORKFLOW)) == {"lint", "test"} <= targets
    assert re.findall(r"run: sudo (.*?)  #", WORKFLOW) == ["ci/install-test-tools test-tools.txt"]
    assert (ROOT / "ci/test-tools.txt").exists()


def test_what_reaches_into_pytest_has_an_upper_bound():
    """The next major version may rename what has no public name."""
    asked = PROJECT["optional-dependencies"]["healthchecks"]
    assert {"pytest>=9,<10", "pytest-html>=4.2,<5"} <= set(asked)


def test_pre_commit_runs_what_make_lint_runs():
    """No host is named, and no second version of a linter can differ from the one in the lock."""
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    commands = [line.strip().removeprefix("@").replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    assert len(commands) >= 3
    assert re.findall(r"^ +entry: (.*)", text, re.MULTILINE) == commands
    assert re.findall(r"^ +- repo: (.*)", text, re.MULTILINE) == ["local"]
    for line in ("language: system", "pass_filenames: false"):
        assert text.count(line) == len(commands)


def test_each_text_file_is_as_editorconfig_says():
    """Lines end with a line feed, also the last one; there is no blank before it, and no tab but in makefiles."""
    wrong = []
    for name in tracked_files():
        content = (ROOT / name).read_bytes()
        if not content or b"\0" in content:
            continue
        if not content.endswith(b"\n") or b"\r" in content or re.search(rb"[ \t]$", content, re.MULTILINE):
            wrong.append(name)
        if b"\t" in content and name not in ("Makefile", "deploy/debian/rules"):
            wrong.append(f"{name}: tab")
    assert wrong == []
