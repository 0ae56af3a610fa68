"""One word, one meaning: names and words as CONTRIBUTING.md and docs/glossary.md have them."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests import ROOT

PACKAGES = ("healthchecks", "servermonitoring", "watchdog", "deploy")
# Modules named by a gerund: the field has no other noun for these.
GERUNDS = {"alerting", "scrubbing", "wording"}
# Words that the glossary replaces, or that plain English does without: alone, or as a part of a name.
REPLACED = re.compile(
    r"(?<![a-z])(tell(s|ing)?|told|whom|beside|anew|nor|trouble[sd]?|errands?|believ\w*|verdicts?|judg(e[sd]?|e?ments?|ing)"
    r"|(is|are|all|was|were)[ _]well|well again|signs? of life|brought home)(?![a-z])",
    re.IGNORECASE,
)
# Words that are replaced in names only: text has "as well" and "looks like".
REPLACED_IN_NAMES = re.compile(r"(?<=_)(well|look(s|ed|ing)?|hears?|heard)(?![a-z])", re.IGNORECASE)
# Places that need such a word: the file's path, and the reason.
NEEDED = {
    "tests/test_vocabulary.py": "lists the words",
    "healthchecks/plugin/alerting/store.py": "reads a column of an older history",
    "tests/healthchecks/plugin/alerting/history_with_alerts.sql": "is an older history",
    "LICENSE": "has its own words",
}
NOT_READ = {".lock", ".png", ".sqlite"}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def texts() -> list[Path]:
    """The files under version control that people read, with any suffix or none."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    return [ROOT / name for name in listed if Path(name).suffix not in NOT_READ and (ROOT / name).is_file()]


def class_names(path: Path) -> list[str]:
    return [each.name for each in ast.parse(path.read_text()).body if isinstance(each, ast.ClassDef)]


def replaced_words(text: str) -> list[tuple[int, str]]:
    return [
        (number, match[0])
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (REPLACED, REPLACED_IN_NAMES)
        for match in pattern.finditer(line)
    ]  # fmt: skip


def test_class_names_are_unique():
    """A name that is read somewhere means one thing."""
    counts = Counter(name for path in modules() for name in class_names(path))
    assert [name for name, count in counts.items() if count > 1] == []


def test_modules_are_named_by_nouns():
    gerunds = {path.stem for path in modules() if path.stem.endswith("ing")}
    gerunds |= {path.parent.name for path in modules() if path.parent.name.endswith("ing")}
    assert gerunds - {*GERUNDS, "servermonitoring"} == set()


def test_replaced_words_do_not_return():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word}"
        for path in texts()
        if str(path.relative_to(ROOT)) not in NEEDED
        for number, word in replaced_words(path.read_text(errors="replace"))
    ]
    assert found == []


def test_replaced_words_are_in_no_file_name():
    assert [name for path in texts() if replaced_words(name := str(path.relative_to(ROOT)))] == []


@pytest.mark.parametrize(
    "name",
    ["Makefile", "ci/regression", ".ci/run", "deploy/debian/command", "deploy/crontab",
     "deploy/systemd/servermonitoring.timer", "reports/postgresql/size.sql", "mkdocs.yml", "docs/glossary.md"],
)  # fmt: skip
def test_all_kinds_of_files_are_read(name):
    assert ROOT / name in texts()


def test_every_exception_is_needed():
    """An entry whose file no longer has such a word hides the next one."""
    assert [name for name in NEEDED if not replaced_words((ROOT / name).read_text())] == []


@pytest.mark.parametrize(
    "line",
    [
        "Nobody is told.", "the Verdict", "well again", "sign of life", "no troubles", "all are well", "is believed",
        "def test_a_fault_is_told():", "def test_well(run):", "status.is_well", "_tell(pid)",
        "test_judgement.py", "def test_it_is_looked_at():",
    ],
)  # fmt: skip
def test_a_replaced_word_is_found(line):
    assert replaced_words(line)


@pytest.mark.parametrize(
    "line", ["the others as well", "it looks like a secret", "pgbench_tellers", "normal", "minor", "intelligence"]
)
def test_other_words_are_allowed(line):
    assert replaced_words(line) == []
