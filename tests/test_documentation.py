"""Every code block of README and docs is tried, or is marked as something that is not meant to be.

A block is an indented or fenced one. `<!-- output -->` before it marks an example of what is shown; `toml` has to be a
valid configuration; `sh` has to name programs and options that exist, where it is not followed word by word.
"""

import ast
import functools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from healthchecks.sql_reports.report import Report
from tests import ROOT, key_tables
from tests.fork_server import run_pytest
from watchdog.policy import Rule
from watchdog.validation import validate_process

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ARCHITECTURE = {"watchdog-architecture.md"}  # its blocks are drawings
WHOLE = {"fleet.md"}  # each of its configurations is one of its own
_BLOCK = re.compile(
    r"(?P<mark><!-- [^\n]*? -->)?\s*?\n"
    r"(?:[ ]{0,3}```(?P<kind>\w*)\n(?P<fenced>.*?)\n[ ]{0,3}```|(?P<indented>(?:[ ]{4,}\S[^\n]*\n|\n(?=[ ]{4,}\S))+))",
    re.DOTALL,
)
WATCHDOG = "import sys; from watchdog.cli import main; sys.exit(main(sys.argv[1:]))"
# Programs of the system that the documents use; those of the project are asked for their options.
SYSTEM = {
    ".venv/bin/pip", "/usr/share/servermonitoring/rabbitmq-user", "ansible-playbook", "ansible-vault", "apt-get", "cd",
    "chgrp", "chmod", "curl", "cut", "git", "install", "ln", "make", "mv", "nginx", "openssl", "pip", "printf", "psql",
    "python3", "rabbitmqctl", "rm", "sed", "ssh", "sudo", "sudoedit", "supervisorctl", "systemctl", "systemd-run",
    "systemd-sysusers", "systemd-tmpfiles", "tee", "userdel",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    document: str
    line: int
    mark: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(path: Path) -> list[Block]:
    text = path.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        if match["indented"] and _in_list(text, match.start("indented")):
            kind, content = "", match["indented"]
        else:
            kind, content = match["kind"] or "", match["fenced"] or match["indented"]
        line = text.count("\n", 0, match.start("fenced") if match["fenced"] else match.start("indented")) + 1
        found.append(Block(path.name, line, match["mark"] or "", kind, content))
    return found


def _in_list(text: str, position: int) -> bool:
    before = text[:position].rstrip("\n").rpartition("\n")[2]
    return before.startswith((" ", "-", "*", "1", "2", "3"))


ALL = [block for path in DOCUMENTS if path.name not in ARCHITECTURE for block in blocks(path)]


def of(*kinds: str) -> list[Block]:
    return [block for block in ALL if kind_of(block) in kinds]


def kind_of(block: Block) -> str:
    """What it is tried as."""
    if block.mark == "<!-- output -->":
        return "output"
    if block.kind:
        return block.kind
    first = block.text.strip().splitlines()[0]
    if re.match(r"\[[\w.]+\]", first):
        return "toml"
    if re.match(r"(from|import) ", first.strip()):
        return "python"
    return "sh"


def test_every_kind_of_block_is_one_that_is_tried():
    assert {kind_of(block) for block in ALL} <= {"output", "sh", "toml", "python", "sql", "yaml"}
    assert len(ALL) > 30


def configurations() -> dict[str, list[str]]:
    """The TOML of each document, or of each block of one, by its name."""
    found: dict[str, list[str]] = {}
    for block in of("toml"):
        found.setdefault(str(block) if block.document in WHOLE else block.document, []).append(block.text)
    return found


@pytest.mark.parametrize("tables", configurations().values(), ids=configurations())
def test_the_configurations_of_a_document_are_valid(tables, tmp_path):
    """All of its TOML together is accepted by the suite, or by the watchdog."""
    secret = tmp_path / "secret"
    secret.write_text("one of the test\n")
    text = "\n".join(dict.fromkeys(_apart(tables)))
    text = re.sub(r"file:/[\w/.-]+", f"file:{secret}", text)
    text = re.sub(r'"/var/lib/servermonitoring"', f'"{tmp_path}/state"', text)
    tomllib.loads(text)
    (tmp_path / "servermonitoring.toml").write_text(text)
    names = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "of the test")
    collected, output = run_pytest("--pyargs", "healthchecks", "--collect-only", "-q", cwd=tmp_path, **names)
    assert collected == 0, output
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **names}
    status = [sys.executable, "-c", WATCHDOG, "status", "--config", "servermonitoring.toml"]
    done = subprocess.run(status, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: no watchdog runs here


def _apart(texts: list[str]) -> list[str]:
    """The tables of several blocks, each once: documents show the same one in steps."""
    tables: dict[str, str] = {}
    for text in texts:
        lines = [line[4:] if text.startswith("    ") else line for line in text.splitlines()]
        for part in re.split(r"^(?=\[)", "\n".join(lines), flags=re.MULTILINE):
            heading = re.match(r"\[.+?\]", part.strip())
            if heading:
                tables.setdefault(heading[0], part.strip())
    return list(tables.values())


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_is_what_python_accepts(block):
    """And the names that it takes from this project exist."""
    indent = min(len(line) - len(line.lstrip()) for line in block.text.splitlines() if line.strip())
    tree = ast.parse("\n".join(line[indent:] for line in block.text.splitlines()))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("healthchecks", "watchdog"):
            module = __import__(node.module, fromlist=["*"])
            assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("block", [block for block in of("sh") if "$pid" not in block.text], ids=str)
def test_commands_are_ones_that_exist(block):
    """Programs of this project know the options; other programs are known to this test, and so are thought of."""
    for command in commands(block.text):
        words = [word for word in shlex.split(command, comments=True) if not re.fullmatch(r"\w+=\S*", word)]
        if not words:
            continue
        if words[0] == "sudo":
            words = words[3:] if words[1] == "-u" else words[1:]
        program = words[0].removeprefix("/usr/lib/servermonitoring/")
        if program.startswith(("ci/", "deploy/")):
            assert (ROOT / program).exists(), command
        known = _help(*_project(program, words))
        if known is None:
            assert program in SYSTEM, f"{command}: nobody has checked {program}"
            continue
        options = [word.partition("=")[0] for word in words[1:] if word.startswith("--") and word != "--"]
        known = known.replace("--junit-xml", "--junitxml")  # pytest takes both
        assert [option for option in options if option not in known] == [], command


def test_yaml_is_the_example_of_the_role():
    """tests/deployment/test_ansible.py installs hosts by it."""
    assert [block.text + "\n" for block in of("yaml")] == [(ROOT / "deploy/ansible/inventory.yml").read_text()]


def test_the_record_that_any_language_may_write_is_accepted(tmp_path, monkeypatch):
    """The shell lines in watchdog.md, as they are, in a directory of the test's own."""
    (block,) = (block for block in of("sh") if "/proc/uptime" in block.text)
    monkeypatch.setenv("WATCHDOG_VALIDATED_DIR", str(tmp_path))
    text = block.text.replace("/tmp/watchdog-validated", str(tmp_path))
    subprocess.run(["sh", "-ec", text], env=os.environ | {"pid": str(os.getpid())}, check=True)
    (record,) = tmp_path.iterdir()
    theirs = record.name, float(record.read_text())
    record.unlink()
    assert validate_process(os.getpid())
    (record,) = tmp_path.iterdir()
    assert record.name == theirs[0]
    assert 0 <= float(record.read_text().split()[0]) - theirs[1] < 60


def commands(text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    plain = [re.sub(r"\s{2,}#.*", "", line).strip() for line in lines]
    return [part for line in plain if line for part in re.split(r"\s(?:&&|\|)\s", re.sub(r'"\$\(.*?\)"', "x", line))]


def _project(program: str, words: list[str]) -> tuple[str, str]:
    """The program of this project that a command starts, and its subcommand."""
    if program in ("python", ".venv/bin/python") and len(words) > 1 and words[1].startswith("ci/"):
        return words[1], ""
    plain = [word for word in words[1:] if not word.startswith("-")]
    return program, plain[0] if program.endswith("watchdog") and plain else ""


@functools.cache
def _help(program: str, subcommand: str) -> str | None:
    """What a program of this project says of its options; None for others."""
    if program == "ci/regression":
        command = [sys.executable, str(ROOT / program), "--help"]
    elif program == "deploy/scheduled":
        command = [str(ROOT / program), "--help"]
    elif program.endswith("watchdog"):
        command = [sys.executable, "-c", WATCHDOG, *filter(None, [subcommand]), "--help"]
    elif program == "servermonitoring" or program.endswith("pytest"):
        return run_pytest("--help", cwd=ROOT)[1]
    else:
        return "" if program.startswith(("ci/", "deploy/")) else None
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_links_lead_somewhere():
    """To a file that is there, and to a heading that it has."""
    wrong = []
    for path in [*DOCUMENTS, ROOT / "ARCHITECTURE.md", ROOT / "SECURITY.md"]:
        for target in re.findall(r"\]\(([^)#\s]*(?:#[\w-]+)?)\)", path.read_text()):
            name, _, anchor = target.partition("#")
            if "://" in target:
                continue
            file = (path.parent / name) if name else path
            if not file.exists() or (anchor and anchor not in _anchors(file.read_text())):
                wrong.append(f"{path.name}: {target}")
    assert wrong == []


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_examples_of_pipelines_name_options_that_exist():
    known = _help("ci/regression", "") or ""
    for path in (ROOT / "examples").iterdir():
        text = path.read_text()
        (line,) = re.findall(r"ci/regression\"? .*\n.*", text)
        options = re.findall(r" (--[\w-]+)", line.split(" -- ")[0])
        assert len(options) == 4
        assert [option for option in options if option not in known] == []


def test_tables_of_keys_are_those_of_the_code():
    """Each key of each kind, with its default and the text below its field; key_tables.py has the command."""
    different = [path.name for path in DOCUMENTS if key_tables.with_tables(path.read_text()) != path.read_text()]
    assert different == [], "write them: .venv/bin/python -m tests.key_tables"
    assert sorted(key_tables.documented()) == sorted(key_tables.models())


@pytest.mark.parametrize(
    ("document", "keys"),
    [("reports.md", {*Report.model_fields, "param"}), ("watchdog.md", {*Rule._fields} - {"name"})],
)
def test_other_tables_name_each_key(document, keys):
    """Those of report headers and of the watchdog's rules, whose meanings hold links and more than one sentence."""
    rows = _first_cells((ROOT / "docs" / document).read_text(), "| key | default | meaning |")
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == keys


def test_messages_in_the_documents_are_those_of_the_code():
    """What stands between names, numbers and quotes is in a text of the code, so that a search for it finds the row."""
    texts = "\n".join(_constants(ROOT / "healthchecks"))
    rows = [row for path in DOCUMENTS for row in _first_cells(path.read_text(), "| message | what to do |")]
    assert len(rows) > 80
    unknown = [(row, part) for row in rows for part in _fixed_parts(row) if not _is_in(part, texts)]
    assert unknown == []


def _constants(directory: Path) -> list[str]:
    nodes = [node for path in directory.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return texts + ["".join(map(_text_of, node.values)) for node in nodes if isinstance(node, ast.JoinedStr)]


def _text_of(part: ast.expr) -> str:
    """Return a part of an f-string: its text, the noun that is counted, or a gap."""
    match part:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.Call(func=ast.Name(id="counted"), args=[_, ast.Constant(value=noun)])):
            return f"{noun}s"
    return "{}"


def _first_cells(text: str, head: str) -> list[str]:
    tables = re.findall(rf"^{re.escape(head)}\n.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [line.split(" | ")[0].removeprefix("| ") for table in tables for line in table.splitlines()]


def _fixed_parts(message: str) -> list[str]:
    """Return the parts of three words or more between numbers, quotes, paths, and names with a digit or in capitals."""
    parts = re.split(r'"[^"]*"|\'[^\']*\'|\S*\d\S*|\S*[/@]\S*|\b[A-Z]{2,}\b|[();:…]', message)
    return [" ".join(part.split()) for part in parts if len(part.split()) > 2]


def _is_in(part: str, texts: str) -> bool:
    """Whether a part is in the texts, but for one or two words at its ends: names, plurals and units."""
    words = part.strip(" ,").split()
    length = max(2, len(words) - (2 if len(words) > 4 else 1))
    return any(" ".join(words[start : start + length]) in texts for start in range(len(words) - length + 1))


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/watchdog-architecture.md"])
def test_paths_for_contributors_exist(document):
    """Whoever looks for the place of a change finds it by the tables."""
    text = re.sub(r"^    .*$", "", (ROOT / document).read_text(), flags=re.MULTILINE)
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.*-]*)`", text)) | set(
        re.findall(r"`(\w[\w.]*\.(?:py|md|toml|yaml))`", text)
    )
    folder = ROOT / ("watchdog" if document.startswith("docs") else "healthchecks/plugin")
    places = (ROOT, folder) if document.startswith("docs") else (ROOT,)
    missing = [name for name in named if "KIND" not in name and not any(any(p.glob(name.rstrip("/"))) for p in places)]
    known = {path.name for path in folder.rglob("*.py")}
    assert named
    assert [name for name in missing if name not in known] == []
