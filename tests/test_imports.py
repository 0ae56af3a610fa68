"""Imports go one way, so that a change below cannot be felt above, and each part can be used without the others."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests import ROOT

PACKAGES = ("healthchecks", "servermonitoring", "watchdog")

# Who may import what of ours: the first line that fits counts, a package stands for all that is in it.
# `healthchecks` alone are its public names.
RECORDS = (
    "healthchecks.plugin.result",
    "healthchecks.plugin.silence",
    "healthchecks.plugin.metric",
    "healthchecks.plugin.peer",
    "healthchecks.plugin.forecast",
    "healthchecks.plugin.history.*",
)
ALERTING = ("healthchecks.plugin.alerting.*",)
SETTINGS = "healthchecks.plugin.configuration.settings"
PEOPLE = ("healthchecks.plugin.anchor", "healthchecks.plugin.wording")
PAGE = ("healthchecks.plugin.dashboard.*", *PEOPLE)
RULES: list[tuple[str, tuple[str, ...]]] = [
    ("healthchecks.test_watchdog", ("healthchecks", "healthchecks.clients.*", "servermonitoring.*", "watchdog.*")),
    ("healthchecks.test_*", ("healthchecks", "healthchecks.clients.*", "servermonitoring.*")),
    ("healthchecks.clients.*", ("healthchecks", "healthchecks.clients.*", "servermonitoring.*")),
    ("healthchecks.sql_reports.*", ("healthchecks.*", "servermonitoring.*")),
    ("healthchecks.plugin.forecast", ("servermonitoring.*",)),
    ("healthchecks.plugin.metric", ("servermonitoring.*",)),
    ("healthchecks.plugin.peer", ("healthchecks.plugin.metric", "servermonitoring.*")),
    (
        "healthchecks.plugin.result",
        ("healthchecks.plugin.metric", "healthchecks.plugin.peer", "healthchecks.plugin.silence", "servermonitoring.*"),
    ),
    ("healthchecks.plugin.silence", ("servermonitoring.*",)),
    ("healthchecks.plugin.history.*", (*RECORDS, "servermonitoring.*")),
    ("healthchecks.plugin.alerting.*", (*RECORDS, *ALERTING, *PEOPLE, SETTINGS, "servermonitoring.*")),
    ("healthchecks.plugin.dashboard.*", (*RECORDS, *PAGE, "servermonitoring.*")),
    ("healthchecks.plugin.status_json", (*RECORDS, *PAGE, "servermonitoring.*")),
    ("healthchecks.plugin.metrics", (*RECORDS, "servermonitoring.*")),
    (
        "healthchecks.plugin.*",
        ("healthchecks", "healthchecks.plugin.*", "servermonitoring.*"),
    ),
    ("healthchecks", ("healthchecks.plugin.*", "servermonitoring.*")),
    ("watchdog.*", ("watchdog.*", "servermonitoring.*")),
    ("servermonitoring.*", ("servermonitoring.*",)),
]
# And of what is installed: None for everything. The second kind is loaded only when used, inside a function.
INSTALLED: list[tuple[str, set[str] | None, set[str]]] = [
    ("servermonitoring.delivery.sdk", {"sentry_sdk"}, set()),  # imported with the first alert, by delivery.sentry
    ("servermonitoring.delivery.notifier", {"apprise", "requests"}, set()),  # a program of its own
    ("servermonitoring.tls", set(), {"certifi"}),  # where it is installed
    ("servermonitoring.*", set(), {"pydantic_core"}),  # by pydantic
    ("watchdog.*", set(), {"sentry_sdk", "selenium"}),  # what `pip install servermonitoring` gives
    ("healthchecks.*", None, set()),
]
WITHOUT_PYTEST = (
    "healthchecks.plugin.alerting.*",
    "healthchecks.plugin.anchor",
    "healthchecks.plugin.dashboard.*",
    "healthchecks.plugin.forecast",
    "healthchecks.plugin.history.*",
    "healthchecks.plugin.metric",
    "healthchecks.plugin.metrics",
    "healthchecks.plugin.peer",
    "healthchecks.plugin.result",
    "healthchecks.plugin.silence",
    "healthchecks.plugin.status_json",
    "healthchecks.plugin.wording",
)


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    line: int
    deferred: bool  # inside a function
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: imports {self.imported}"


def modules(root: Path) -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> Iterator[Import]:
    known = modules(root)
    for name, path in known.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        yield from _imports_in(ast.parse(path.read_text()), name, package, set(known))


def _imports_in(tree: ast.AST, importer: str, package: str, known: set[str], within: str = "") -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        inside = within
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside += "f"
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            inside += "t"
        if isinstance(node, ast.Import | ast.ImportFrom):
            for imported in _names(node, package, known):
                yield Import(importer, imported, node.lineno, "f" in inside, "t" in inside)
        yield from _imports_in(node, importer, package, known, inside)


def _names(node: ast.Import | ast.ImportFrom, package: str, known: set[str]) -> list[str]:
    """The modules that a statement imports: `from a import b` is a.b where that is a module, else a."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    start = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
    module = ".".join([*start, *([node.module] if node.module else [])])
    both = [(f"{module}.{alias.name}", module) for alias in node.names]
    return [longer if longer in known else shorter for longer, shorter in both]


def fits(name: str, pattern: str) -> bool:
    if pattern.endswith(".*"):
        return name == pattern[:-2] or name.startswith(pattern[:-1])
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def is_allowed(found: Import) -> bool:
    top = found.imported.partition(".")[0]
    if top in PACKAGES:
        allowed = next((allowed for pattern, allowed in RULES if fits(found.importer, pattern)), ())
        return any(fits(found.imported, pattern) for pattern in allowed)
    if top in {"tests", "ci"}:
        return False
    if top in {"pytest", "_pytest"} and any(fits(found.importer, pattern) for pattern in WITHOUT_PYTEST):
        return found.typing_only
    always, used = next((rule[1:] for rule in INSTALLED if fits(found.importer, rule[0])), (set(), set()))
    late = found.deferred or found.typing_only
    return always is None or top in always | sys.stdlib_module_names or (late and top in used)


def circle(root: Path) -> list[str]:
    """Return modules that need each other, if there are such: late imports and those of types count as well."""
    graph: dict[str, set[str]] = {}
    for each in imports(root):
        if each.importer != each.imported:
            graph.setdefault(each.importer, set()).add(each.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_imports_go_one_way():
    """As ARCHITECTURE.md has it under "What must never import what"."""
    wrong = [str(each) for each in imports(ROOT) if not is_allowed(each)]
    assert wrong == []


def test_sentrys_sdk_is_loaded_with_the_first_alert_only():
    """It takes longer to load than most runs need for all else."""
    early = [
        str(each) for each in imports(ROOT) if each.imported == "servermonitoring.delivery.sdk" and not each.deferred
    ]
    assert early == []


def test_the_watchdog_loads_nothing_large(tmp_path):
    """Each of these costs from 0.4 to 4 MB as long as it runs, and none is needed for what it does all the time."""
    large = {
        "argparse", "bz2", "dataclasses", "datetime", "gettext", "hashlib", "html.entities", "http.client", "inspect",
        "lzma", "psutil", "servermonitoring.configuration", "ssl", "subprocess", "tomllib",
    }  # fmt: skip
    code = "import sys, watchdog.cli as cli; cli.main(['watch', '--once']); print(*sys.modules)"
    home = {"HOME": str(tmp_path), "WATCHDOG_VALIDATED_DIR": str(tmp_path / "v"), "WATCHDOG_SOCKET": ""}
    configuration = tmp_path / "servermonitoring.toml"
    configuration.write_text(f'[state]\ndirectory = "{tmp_path}/state"\n[watchdog.firefox]\ncommand = "{tmp_path}"\n')
    environment = {**os.environ, **home, "SERVERMONITORING_CONFIG": str(configuration)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert "watchdog.watcher" in done.stdout.split(), done.stderr
    assert large & set(done.stdout.split()) == set()


def test_no_modules_import_each_other_in_a_circle():
    assert circle(ROOT) == []


def test_every_package_is_covered():
    assert {name.partition(".")[0] for name in modules(ROOT)} == set(PACKAGES)
    assert len(list(imports(ROOT))) > 100


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("servermonitoring/new", "import requests"),
        ("servermonitoring/new", "import sentry_sdk"),
        ("servermonitoring/new", "from healthchecks import Target"),
        ("watchdog/new", "from healthchecks import Target"),
        ("watchdog/new", "def late():\n    import healthchecks.plugin"),
        ("watchdog/new", "import pytest"),
        ("watchdog/new", "import requests"),
        ("watchdog/new", "import sentry_sdk"),
        ("healthchecks/plugin/new", "from watchdog.validation import validate_process"),
        ("healthchecks/plugin/new", "from healthchecks.test_disk import Disk"),
        ("healthchecks/plugin/new", "from healthchecks.clients import http"),
        ("healthchecks/plugin/new", "from tests import suite"),
        ("healthchecks/plugin/history/new", "from healthchecks.plugin import run"),
        ("healthchecks/plugin/history/new", "from ..run import Run"),
        ("healthchecks/plugin/new", "from healthchecks.sql_reports import store"),
        ("healthchecks/plugin/history/new", "import pytest"),
        ("healthchecks/clients/new", "from healthchecks.plugin.run import Run"),
        ("healthchecks/test_new", "from healthchecks.plugin.configuration.target import Target"),
        ("healthchecks/test_new", "from watchdog import status"),
        ("healthchecks/test_new", "import watchdog.status"),
    ],
)
def test_a_wrong_import_is_found(tmp_path, name, line):
    for module in ("healthchecks/plugin/run", "healthchecks/sql_reports/store", "watchdog/status", name):
        path = tmp_path / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line if module == name else "")
    assert [each for each in imports(tmp_path) if not is_allowed(each)]


def test_a_circle_is_found(tmp_path):
    late, of_types = "def late():\n    from watchdog import c", "if TYPE_CHECKING:\n    import watchdog.a"
    for name, line in [("a", "from watchdog.b import x"), ("b", late), ("c", of_types)]:
        (tmp_path / "watchdog").mkdir(exist_ok=True)
        (tmp_path / "watchdog" / f"{name}.py").write_text(line)
    assert set(circle(tmp_path)) == {"watchdog.a", "watchdog.b", "watchdog.c"}
