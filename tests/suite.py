"""Runs the project's own checks as a user does: pytest in a process of its own, on a configuration in a new folder.

def test_wrong_status(run_suite, website):
    outcome = run_suite(table("website", "home", url=website.url("/status/503")))
    assert outcome.status == 1
    assert outcome.message("website_access[home]") == "status 503 …"
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.fork_server import Process, start_pytest

IN_TIME = 45  # seconds for a run with a timeout of a few, however busy the machine; ci/benchmarks/outage measures it
_LIMIT = 180  # seconds; a run that takes longer hangs


@dataclass
class Outcome:
    """What a run left behind."""

    status: int
    output: str
    seconds: float
    checks: dict[str, dict[str, Any]]  # of status.json, by check and target: "website_access[home]"
    folder: Path

    def message(self, check: str) -> str:
        """Why this check failed; it has to have failed, by a bad service and not by a broken check."""
        assert self.status == 1, self.output
        assert self.checks[check]["status"] == "failed", self.output
        return self.checks[check]["message"]

    def assert_well(self, check: str) -> None:
        assert self.status == 0, self.output
        assert self.checks[check]["status"] == "ok"

    def all_written(self) -> str:
        """Everything a secret could be in: what the terminal said, and every file, databases too."""
        files = [each for each in self.folder.rglob("*") if each.is_file() and each.suffix != ".toml"]
        return self.output + "".join(each.read_bytes().decode(errors="replace") for each in files)


RunSuite = Callable[..., Outcome]


@pytest.fixture
def run_suite(tmp_path: Path) -> RunSuite:
    """`run_suite(toml, *arguments)`; without arguments it runs the checks of the tables that are in it."""

    def run(toml: str, *arguments: str) -> Outcome:
        started = time.monotonic()
        process = start_suite(tmp_path, toml, *arguments)
        return finish_suite(tmp_path, process, started)

    return run


def start_suite(folder: Path, toml: str, *arguments: str) -> Process:
    """State and page stay in the folder."""
    settings = f"[state]\ndirectory = '{folder / 'state'}'\n[dashboard]\ndirectory = '{folder / 'html'}'\n"
    configuration = folder / "servermonitoring.toml"
    configuration.write_text(f"{toml}\n{settings}")
    kinds = dict.fromkeys(re.findall(r"^\[(\w+)", toml, re.MULTILINE))
    files = [str(path) for kind in kinds if (path := ROOT / "healthchecks" / f"test_{kind}.py").exists()]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "SERVERMON"))}
    options = [
        "-p",
        "no:hypothesispytest",  # which takes longer to load than a run of the suite
        "-o",
        f"cache_dir={folder}/cache",
        f"--monitoring-config={configuration}",
    ]
    return start_pytest([*options, *(arguments or files)], ROOT, environment)


def finish_suite(folder: Path, process: Process, started: float) -> Outcome:
    try:
        output, _ = process.communicate(timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    seconds = time.monotonic() - started
    document = folder / "html" / "status.json"
    entries = json.loads(document.read_text())["checks"] if document.exists() else []
    checks = {f"{each['check']}[{each['target']}]": each for each in entries}
    return Outcome(process.returncode, output, seconds, checks, folder)


def table(kind: str, name: str, **keys: Any) -> str:
    """`[kind.name]` in TOML."""
    return f"[{kind}.{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in keys.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value if isinstance(value, bool | int | float) else str(value), ensure_ascii=False)
