"""Installed as users do: alone, with the suite, together with PyPI's package of the same import name `watchdog`."""

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Self

import pip
import pytest

from tests.test_packaging import ROOT, wheel  # noqa: F401 - a fixture

BOTH = "from watchdog.observers import Observer; from watchdog.validation import validate_process; print('both')"
CHECK = """
from healthchecks import Target, probe

class Thing(Target):
    number: int = 1

@probe
def number(thing: Thing) -> int:
    return thing.number

def test_thing(thing, number):
    assert number == 1, "it is not one"
"""


class Environment:
    """A virtual environment with nothing in it, not even pip: this one's pip installs into it."""

    def __init__(self, directory: Path, like: Self | None = None) -> None:
        self.root = directory / "environment"
        if like:
            shutil.copytree(like.root, self.root, symlinks=True)
        else:
            venv.create(self.root, with_pip=False, symlinks=True)
        self.bin = self.root / "bin"
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir()

    def pip(self, *words: object) -> str:
        quick = ["--no-compile"] if words[0] == "install" else []
        return self.call_pip(*words, *quick)

    def call_pip(self, *words: object, **environment: str) -> str:
        """Do what `pip --python` does, without starting pip twice."""
        command = [self.bin / "python", Path(pip.__file__).with_name("__pip-runner__.py"), *words]
        variables = {**os.environ, "_PIP_RUNNING_IN_SUBPROCESS": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, program: str, *words: object, cwd: Path | None = None, status: int = 0) -> str:
        environment = {"PATH": os.defpath, "HOME": str(self.elsewhere)}
        done = subprocess.run(
            [self.bin / program, *words], cwd=cwd or self.elsewhere, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def python(self, code: str, *, cwd: Path | None = None) -> str:
        return self.run("python", "-c", code, cwd=cwd).strip()


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path)


@pytest.fixture(scope="module")
def ours(wheel):  # noqa: F811 - pytest's way
    return wheel.filename


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """The package for file-system events, as the machine's pip gets it."""
    directory = tmp_path_factory.mktemp("theirs")
    command = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--dest", directory, "watchdog>=6"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("missing: watchdog, the package on PyPI")
    return next(directory.glob("*.whl"))


def test_alone_it_is_the_watchdog(environment, ours):
    """On a host of browsers: no pytest, no client library."""
    environment.pip("install", "--quiet", ours)
    listed = "from importlib.metadata import distributions; print(*(each.name for each in distributions()))"
    assert environment.python(listed) == "servermonitoring"
    assert "usage: watchdog" in environment.run("watchdog", "--help")
    said = environment.python("import os; from watchdog import validate_process; print(validate_process(os.getpid()))")
    assert said in ("True", "False")


def test_with_the_suite_it_checks_from_anywhere(environment, ours):
    """The machine without any configuration, and a folder of the user's own checks."""
    environment.pip("install", "--quiet", f"{ours}[healthchecks]")
    collected = environment.run("pytest", "--pyargs", "healthchecks", "--collect-only", "-q")
    assert "test_website_access[none]" in collected
    assert not re.search(r"\btests/", collected)
    said = environment.run("pytest", "--pyargs", "healthchecks", "-k", "disk or memory", "-o", "cache_dir=.cache")
    assert "page: " in said
    (environment.elsewhere / "mine").mkdir()
    (environment.elsewhere / "mine/test_thing.py").write_text(CHECK)
    (environment.elsewhere / "servermonitoring.toml").write_text("[thing.one]\n[thing.two]\nnumber = 2\n")
    said = environment.run("pytest", "mine", status=1)
    assert re.search(r"FAILED +thing\[two\] +it is not one", said)


@pytest.fixture(scope="module")
def both(tmp_path_factory, ours, theirs):
    """`both(ours_first)` is an environment with both of them, installed in this order."""

    @functools.cache
    def install(ours_first):
        environment = Environment(tmp_path_factory.mktemp("both"))
        for each in (ours, theirs) if ours_first else (theirs, ours):
            environment.pip("install", "--quiet", "--no-deps", "--no-index", each)
        return environment

    return install


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("removed", ["watchdog", "servermonitoring"])
def test_next_to_the_other_watchdog(tmp_path, both, ours_first, removed):
    """In either order, and each alone when the other is removed."""
    environment = Environment(tmp_path, both(ours_first))
    assert environment.python(BOTH) == "both"
    environment.pip("uninstall", "--quiet", "--yes", removed)
    left, gone = ("validation", "observers") if removed == "watchdog" else ("observers", "validation")
    assert environment.python(f"import watchdog.{left}; print('left')") == "left"
    missing = f"import importlib.util; print(importlib.util.find_spec('watchdog.{gone}'))"
    assert environment.python(missing) == "None"


@pytest.mark.parametrize("ours_first", [True, False])
def test_an_editable_install_next_to_it(environment, theirs, ours_first):
    """From anywhere, and in the checkout; the command, too."""

    def editable():
        options = "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--editable", ROOT
        environment.call_pip("install", *options, PYTHONPATH=sysconfig.get_path("purelib"))  # where hatchling is

    def other():
        environment.pip("install", "--quiet", "--no-deps", "--no-index", theirs)

    for install in (editable, other) if ours_first else (other, editable):
        install()
    assert environment.python(BOTH) == "both"
    assert environment.python(BOTH, cwd=ROOT) == "both"
    assert "usage: watchdog" in environment.run("watchdog", "--help")
