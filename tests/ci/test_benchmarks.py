"""The benchmarks run by hand only: each can be imported, and each name of ours that it uses exists.

Those that others start run here with a few targets: they print every figure, and leave no process.
"""

import ast
import importlib
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests import ROOT
from tests.servers.server import until

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
    names = {path.name for path in FILES}
    assert {"alerts", "dashboard", "durations.py", "outage", "scrubbing", "scan.py", "throughput.py"} <= names


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


FIGURE = r"(?:[\d.]+ (?:ms|MB|s|x)|-)"
SMALL = {
    "durations.py": ["10", "--rounds", "1"],
    "throughput.py": ["--healthy", "3", "--silent", "2", "--timeout", "1", "--rounds", "1"],
}


def benchmark(tmp_path, name, *arguments):
    return subprocess.Popen(
        [sys.executable, FOLDER / name, *arguments],
        env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "lines"), [("durations.py", 2), ("throughput.py", 5)])
def test_each_row_has_its_figures_its_target_and_whether_it_is_reached(tmp_path, shared, name, lines):
    checker = shared("checker")
    output, _ = benchmark(tmp_path, name, *SMALL[name]).communicate(timeout=300)
    head, *rows = output.splitlines()
    assert head.split()[-5:] == ["servermonitoring", "check_http", "blackbox_exporter", "target", "reached"]
    assert len(rows) == lines, output
    cells = [re.search(rf"  ({FIGURE}) +({FIGURE}) +({FIGURE}) +({FIGURE}) +(yes|no|-)$", row) for row in rows]
    assert all(cells), output
    assert [each[1] for each in cells if each[1] == "-"] == []
    for column, program in ((2, checker.CHECK_HTTP), (3, checker.BLACKBOX_EXPORTER)):
        assert (cells[0][column] == "-") is (program is None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_benchmark_leaves_no_process(tmp_path, number):
    small = ["--healthy", "1", "--silent", "1", "--timeout", "600", "--rounds", "1"]
    process = benchmark(tmp_path, "throughput.py", *small)
    healthy = until(lambda: runs_below(process.pid), what="run of healthy websites")
    until(lambda: set(runs_below(process.pid)) - set(healthy), what="run of silent websites, which goes on")
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    process.communicate(timeout=180)
    assert psutil.wait_procs(started, timeout=60)[1] == []


def runs_below(pid):
    return [each for each in psutil.Process(pid).children(recursive=True) if "pytest" in command(each)]


def command(process):
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    return [] if any(word.endswith("meter.py") for word in words) else words


def test_an_error_leaves_the_rows_that_are_known(tmp_path):
    """The timeout is one that the suite's configuration refuses."""
    process = benchmark(tmp_path, "throughput.py", "--healthy", "1", "--timeout", "1e6")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    assert re.search(r"^ +servermonitoring .* reached$", output, re.MULTILINE)
    assert "RuntimeError: 0 of 1 checks passed" in output


def test_a_wrong_result_of_a_check_ends_the_benchmark(shared):
    """Its figures would mean nothing."""
    checker, measuring = shared("checker"), shared("measuring")
    cost = measuring.Cost(1, 1, 1, 0, "output", [measuring.Check(passed=False, duration=0.1)])
    assert checker.expect(cost, 1, passed=False) is cost
    for count, passed in ((1, True), (2, False)):
        with pytest.raises(RuntimeError, match="output"):
            checker.expect(cost, count, passed=passed)
