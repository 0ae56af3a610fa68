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
# Words that the glossary replaces, or that plain English does without.
REPLACED = re.compile(
    r"\b(told|tells|whom|beside|anew|nor|troubles?|errand|believ|verdict|well again|sign of life)\b", re.IGNORECASE
)
# Places that need such a word: part of the file's path, and the reason.
NEEDED = {
    "tests/test_vocabulary.py": "lists the words",
    "healthchecks/plugin/alerting/store.py": "reads a column of an older history",
}
TEXTS = {".py", ".md", ".toml", ".j2", ".js"}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def texts() -> list[Path]:
    """The files under version control that people read."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    return [ROOT / name for name in listed if Path(name).suffix in TEXTS and (ROOT / name).is_file()]


def class_names(path: Path) -> list[str]:
    return [each.name for each in ast.parse(path.read_text()).body if isinstance(each, ast.ClassDef)]


def replaced_words(text: str) -> list[tuple[int, str]]:
    return [
        (number, match[0])
        for number, line in enumerate(text.splitlines(), 1)
        for match in REPLACED.finditer(line)
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
        for number, word in replaced_words(path.read_text())
    ]
    assert found == []


def test_every_exception_is_needed():
    """An entry whose file no longer has such a word hides the next one."""
    assert [name for name in NEEDED if not replaced_words((ROOT / name).read_text())] == []


@pytest.mark.parametrize("line", ["Nobody is told.", "the Verdict", "well again", "sign of life", "no troubles"])
def test_a_replaced_word_is_found(line):
    assert replaced_words(line)
