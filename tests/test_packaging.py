"""What is installed is what is meant to be, from nowhere in particular, and always the same."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from servermonitoring import __version__
from tests import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of what git would hand out, without network, by the hatchling of the lock."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    options = ["--quiet", "--disable-pip-version-check", "--no-build-isolation", "--no-deps", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(target), str(source)]
    subprocess.run(command, check=True)
    return zipfile.ZipFile(next(target.glob("*.whl")))


def tracked_files() -> list[str]:
    """Those that git has or would take; of a copy without git, all."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
        return [name for name in names if not re.match(r"\.venv|\.cache|\.git/", name) and (ROOT / name).is_file()]
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    """No tests of ours, no scripts, no configuration lands among the user's packages."""
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    tops = {top for top in tops if not top.endswith(".dist-info")}
    assert tops == {"healthchecks", "servermonitoring", "watchdog"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    """A check, a template or a py.typed that is missing is noticed in the checkout by nobody."""
    packages = ("healthchecks/", "servermonitoring/", "watchdog/")
    mine = {name for name in tracked_files() if name.startswith(packages)}
    assert {name for name in wheel.namelist() if name.startswith(packages)} == mine
    assert {"healthchecks/py.typed", "servermonitoring/py.typed", "watchdog/py.typed"} <= mine


def test_the_wheel_needs_nothing(wheel):
    """The watchdog needs the standard library only; the suite is an extra."""
    metadata = Parser().parsestr(read(wheel, "METADATA"))
    needed = [each for each in metadata.get_all("Requires-Dist") if "extra ==" not in each]
    assert needed == []
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_wheel_has_the_version_of_the_code(wheel):
    assert Parser().parsestr(read(wheel, "METADATA"))["Version"] == __version__


def test_the_wheel_gives_a_command_and_a_plugin_named_like_its_module(wheel):
    """With another name than the module's, pytest would take the plugin twice in a checkout, and crash."""
    entries = read(wheel, "entry_points.txt")
    assert "watchdog = watchdog.cli:main" in entries
    assert "healthchecks.plugin = healthchecks.plugin\n" in entries + "\n"
    assert "healthchecks.sql_reports.hooks = healthchecks.sql_reports.hooks\n" in entries + "\n"


def read(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(next(each for each in wheel.namelist() if each.endswith(f".dist-info/{name}"))).decode()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_pin_every_version_with_its_hashes_and_name_no_place(lock):
    """The same everywhere, from whatever index the machine is set up for."""
    entries = requirements(lock)
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==[\w.!+]+( ; [^\\]+)? ", entry), f"not pinned: {entry[:60]}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), f"no hash: {entry[:60]}"
    assert not re.search(r"://|^\s*-[-\w]*(?:index|find-links|trusted)", lock.read_text(), re.MULTILINE)


def requirements(lock: Path) -> list[str]:
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    return [f"{line} " for line in lines if line.strip() and not line.startswith("#")]


def test_each_lock_holds_the_one_before_with_the_same_versions():
    """What is tested is what is deployed."""
    checked, deployed, developed = (
        {entry.split()[0] for entry in requirements(ROOT / "requirements" / name)}
        for name in ("healthchecks.lock", "server.lock", "development.lock")
    )
    assert checked < deployed < developed


def test_the_locks_hold_everything_that_the_project_asks_for():
    """A dependency that was added without `make lock` fails on the next fresh machine only."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    asked = [*project["project"]["dependencies"], *extras["healthchecks"]]
    of_server = [each for extra in extras.values() for each in extra]
    groups = [each for group in project["dependency-groups"].values() for each in group]
    for lock, wanted in {"healthchecks": asked, "server": of_server, "development": [*of_server, *groups]}.items():
        entries = requirements(ROOT / f"requirements/{lock}.lock")
        pinned = {re.split(r"==", entry)[0] for entry in entries}
        assert {re.match(r"[\w-]+", each)[0].lower() for each in wanted} <= pinned


def test_no_file_names_the_host_of_a_registry():
    """Where packages come from is a matter of the machine, not of the project."""
    hosts = re.compile(rb"python[h]osted[.]org|\bpypi[.](?:org|python)|--index[-]url|registry[.]npmjs")
    assert [name for name in tracked_files() if hosts.search((ROOT / name).read_bytes())] == []
