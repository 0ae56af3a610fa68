"""The scheduled command as cron runs it: a checkout of its own, whose environment a test may break.

def test_silent(checkout, website):
    checkout.configure(table("website", "home", url=website.url()))
    assert checkout.run("healthchecks/test_website.py") == (0, "")
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.servers.website import Website
from tests.suite import NO_TOOLS

_LIMIT = 120  # seconds; a command that takes longer hangs


class Checkout:
    """The project's code and its command in a folder; `.venv/bin/pytest` there is the tests' own pytest."""

    def __init__(self, folder: Path, website: Website) -> None:
        self.folder, self.website = folder / "checkout", website
        self.environment = {"PATH": os.defpath, "HOME": str(folder), "SERVERMONITORING_CONFIG": f"{folder}/config.toml"}
        (self.folder / "deploy").mkdir(parents=True)
        (self.folder / ".venv/bin").mkdir(parents=True)
        self.state.mkdir(mode=0o700)
        for name in ("healthchecks", "servermonitoring", "watchdog"):
            (self.folder / name).symlink_to(ROOT / name)
        for name in ("conftest.py", "pytest.ini", "deploy/scheduled"):
            shutil.copy(ROOT / name, self.folder / name)
        (self.folder / ".venv/bin/python").symlink_to(sys.executable)
        self.pytest(f'exec {sys.executable} -m pytest {shlex.join(NO_TOOLS)} "$@"')
        self.configure("")
        website.answer("/hook", "ok")

    @property
    def state(self) -> Path:
        return self.folder.parent / "state"

    @property
    def page(self) -> Path:
        return self.folder.parent / "html"

    def configure(self, toml: str, *, state: str = "", webhook: bool = True) -> None:
        """The website is the webhook, unless the configuration has alerts of its own."""
        alerts = {"alerts": {"webhook": self.website.url("/hook")}} if webhook else {}
        settings = {**alerts, "state": {"directory": state or str(self.state)},
                    "dashboard": {"directory": str(self.page)}}  # fmt: skip
        tables = [f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
                  for name, keys in settings.items()]  # fmt: skip
        Path(self.environment["SERVERMONITORING_CONFIG"]).write_text("\n".join([*tables, toml, ""]))

    def check(self, text: str) -> str:
        """Write a file of a user's checks; return its name."""
        (self.folder / "test_mine.py").write_text(text)
        return "test_mine.py"

    def pytest(self, script: str) -> None:
        """What `.venv/bin/pytest` does, as a shell script."""
        path = self.folder / ".venv/bin/pytest"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def words(self, *arguments: str) -> list[str]:
        return [str(self.folder / "deploy/scheduled"), *arguments]

    def run(self, *arguments: str, redirect: str = "", cwd: Path | None = None) -> tuple[int, str]:
        """Exit status, and all that cron would mail."""
        command = ["sh", "-c", f"{shlex.join(self.words(*arguments))} {redirect}"]
        done = subprocess.run(
            command, cwd=cwd or self.folder.parent, env=self.environment, timeout=_LIMIT, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def alerts(self) -> list[dict[str, Any]]:
        """What the webhook was sent."""
        return [json.loads(each.body) for each in self.website.requests if each.path == "/hook"]

    def run_alerts(self) -> list[str]:
        """Messages of the alerts that say that a run was none."""
        return [each["message"] for each in self.alerts() if each["label"] == "suite[run]"]

    def statuses(self) -> dict[str, str]:
        """Of the page's status.json: check → status."""
        document = json.loads((self.page / "status.json").read_text())
        return {f"{each['check']}[{each['target']}]": each["status"] for each in document["checks"]}


@pytest.fixture
def checkout(tmp_path: Path, website: Website) -> Checkout:
    return Checkout(tmp_path, website)
