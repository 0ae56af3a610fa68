"""Runs health checks as a user does: pytest in a process of its own, state and page in a new folder.

def test_wrong_status(run_suite, website):
    outcome = run_suite(table("website", "home", url=website.url("/status/503")))
    assert outcome.message("website_access[home]") == "status 503 …"

def test_own_check(suite):
    suite.write("test_mine.py", "…")
    assert suite.run().status == 0
"""

import json
import os
import re
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.fork_server import Process, Stream, start_pytest

IN_TIME = 45  # seconds for a run with a timeout of a few, however busy the machine; ci/benchmarks/outage measures it
_LIMIT = 180  # seconds; a run that takes longer hangs
_LIGHT = ("-p", "no:hypothesispytest")  # which takes longer to load than a run
_NO_XDIST = ("-p", "no:xdist", "-p", "no:xdist.looponfail")
NO_TOOLS = (*_LIGHT, *_NO_XDIST)  # plugins that are tools of this project's tests, as where the suite is installed


@dataclass
class Outcome:
    """What a run left behind."""

    status: int
    output: str
    duration: float
    document: dict[str, Any]
    """status.json; empty if there is none."""
    folder: Path

    @property
    def checks(self) -> dict[str, dict[str, Any]]:
        """Entries of status.json by check and target: "website_access[home]"."""
        return {f"{each['check']}[{each['target']}]": each for each in self.document.get("checks", ())}

    def message(self, check: str) -> str:
        """Return the message of a failed check. An AssertionError if its status is another one."""
        assert self.status == 1, self.output
        assert self.checks[check]["status"] == "failed", self.output
        return self.checks[check]["message"]

    def assert_ok(self, check: str) -> None:
        assert self.status == 0, self.output
        assert self.checks[check]["status"] == "ok"

    def all_written(self) -> str:
        """Return everything a secret could be in: output, and every file, databases too."""
        files = [each for each in self.folder.rglob("*") if each.is_file() and each.suffix != ".toml"]
        return self.output + "".join(each.read_bytes().decode(errors="replace") for each in files)


class Suite:
    """A folder with checks of a user and a configuration; state and page stay in it."""

    forked = True  # false: its Python starts as every Python does
    has_xdist = False
    pytest_ini: str | None = "[pytest]\n"  # so that it is the root directory of pytest
    options: tuple[str, ...] = ("-p", "no:cacheprovider")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "SERVERMON"))},
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.started = time.monotonic()
        if self.pytest_ini is not None:
            (folder / "pytest.ini").write_text(self.pytest_ini)

    @property
    def directory(self) -> Path:
        """Where pytest is started."""
        return self.folder

    @property
    def state(self) -> Path:
        return self.folder / "state" / "servermonitoring"

    @property
    def page(self) -> Path:
        return self.folder / "reports" / "html"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def configure(self, text: str) -> Path:
        return self.write("servermonitoring.toml", text)

    def start(self, *arguments: str, stdout: Stream = subprocess.PIPE) -> Process:
        self.started = time.monotonic()
        options = [*(_LIGHT if self.has_xdist else NO_TOOLS), *self.options, *arguments]
        return start_pytest(options, self.directory, self.environment, stdout, forked=self.forked)

    def finish(self, process: Process) -> Outcome:
        try:
            output, _ = process.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise
        duration = time.monotonic() - self.started
        status = self.page / "status.json"
        document = json.loads(status.read_text()) if status.exists() else {}
        assert process.returncode is not None
        return Outcome(process.returncode, output, duration, document, self.folder)

    def run(self, *arguments: str) -> Outcome:
        return self.finish(self.start(*(arguments or ("test_mine.py",))))


class ProjectSuite(Suite):
    """The project's own checks, with a configuration in the folder; tables select the kinds."""

    pytest_ini = None  # the project's own

    def __init__(self, folder: Path, toml: str) -> None:
        super().__init__(folder)
        self.environment.pop("PYTHONDONTWRITEBYTECODE")
        settings = f"[state]\ndirectory = '{self.state}'\n[dashboard]\ndirectory = '{self.page}'\n"
        self.configuration = folder / "servermonitoring.toml"
        self.configuration.write_text(f"{toml}\n{settings}")
        self.options = ("-o", f"cache_dir={folder}/cache", f"--monitoring-config={self.configuration}")
        kinds = dict.fromkeys(re.findall(r"^\[(\w+)", toml, re.MULTILINE))
        self.files = [str(path) for kind in kinds if (path := ROOT / "healthchecks" / f"test_{kind}.py").exists()]

    @property
    def directory(self) -> Path:
        return ROOT

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def page(self) -> Path:
        return self.folder / "html"

    def start(self, *arguments: str, stdout: Stream = subprocess.PIPE) -> Process:
        return super().start(*(arguments or self.files), stdout=stdout)

    def run(self, *arguments: str) -> Outcome:
        return self.finish(self.start(*arguments))


RunSuite = Callable[..., Outcome]


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


@pytest.fixture
def run_suite(tmp_path: Path) -> RunSuite:
    """`run_suite(toml, *arguments)`; without arguments it runs the checks of the tables that are in it."""
    return lambda toml, *arguments: ProjectSuite(tmp_path, toml).run(*arguments)


def table(kind: str, name: str, **keys: Any) -> str:
    """`[kind.name]` in TOML."""
    return f"[{kind}.{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in keys.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value if isinstance(value, bool | int | float) else str(value), ensure_ascii=False)
