"""The benchmarks run by hand only: each can be imported, and each name of ours that it uses exists."""

import ast
import importlib
import runpy
import sys
from collections.abc import Iterator

import pytest

from tests import ROOT

FOLDER = ROOT / "ci" / "benchmarks"
FILES = sorted(
    path
    for path in FOLDER.rglob("*")
    if path.is_file() and path.suffix in {"", ".py"} and "__pycache__" not in path.parts
)
OURS = {"healthchecks", "servermonitoring", "watchdog", "tests"}


def codes(path, values) -> Iterator[ast.Module]:
    """The file, and each text in it or made by it that is code for another process."""
    yield (tree := ast.parse(path.read_text()))
    texts = {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    for text in sorted(texts | {each for each in values if isinstance(each, str)}):
        if "import " in text:
            try:
                yield ast.parse(text)
            except SyntaxError:  # words, or a template
                continue


def names(tree: ast.Module) -> Iterator[str]:
    """Each name of ours: what is imported, and the attributes of it."""
    meaning = {}
    for each in ast.walk(tree):
        if isinstance(each, ast.Import):
            for alias in each.names:
                package = alias.name.partition(".")[0]
                meaning[alias.asname or package] = alias.name if alias.asname else package
            yield from (alias.name for alias in each.names if is_ours(alias.name))
        elif isinstance(each, ast.ImportFrom) and each.module:
            meaning |= {alias.asname or alias.name: f"{each.module}.{alias.name}" for alias in each.names}
            yield from (f"{each.module}.{alias.name}" for alias in each.names if is_ours(each.module))
    for each in ast.walk(tree):
        *above, first = chain(each)
        if above and is_ours(name := meaning.get(first, "")):
            yield ".".join((name, *reversed(above)))


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in OURS


def chain(node: ast.AST) -> list[str]:
    """The names of `a.b.c`, the last one first; [""] for anything else."""
    if isinstance(node, ast.Attribute):
        return [node.attr, *chain(node.value)]
    return [node.id] if isinstance(node, ast.Name) else [""]


def exists(name: str) -> bool:
    """Whether the longest part that is a module has the rest."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for each in parts[length:]:
            if not hasattr(found, each):
                return False
            found = getattr(found, each)
        return True
    return False


@pytest.fixture
def imported(monkeypatch):
    """Import a benchmark as a module: nothing is run."""
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    return lambda path: runpy.run_path(str(path), run_name="benchmark")


def test_there_are_benchmarks():
    assert {"alerts", "dashboard", "outage", "scrubbing", "scan.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_name_of_ours_exists(imported, path):
    used = {name for tree in codes(path, imported(path).values()) for name in names(tree)}
    assert [name for name in sorted(used) if not exists(name)] == []


def test_a_name_that_is_gone_is_found(tmp_path):
    """In the file, in code for another process, and as an attribute."""
    file = tmp_path / "benchmark"
    file.write_text(
        "from healthchecks.plugin import nothing\nimport watchdog.gone\nimport watchdog.cli as cli\n"
        "cli.main, cli.none\nCODE = 'from servermonitoring import values\\nvalues.never()'\n"
    )
    used = {name for tree in codes(file, ["import tests.servers.nowhere"]) for name in names(tree)}
    assert {name for name in used if not exists(name)} == {
        "healthchecks.plugin.nothing", "watchdog.gone", "watchdog.cli.none", "servermonitoring.values.never",
        "tests.servers.nowhere",
    }  # fmt: skip
