"""What the tests of the deployment share: the project as git would hand it out, and Debians to install it on."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployment.root import REPOSITORY, blocks
from tests.servers.server import program
from tests.test_packaging import ROOT, tracked_files


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """A git repository of the files as they are now, to be cloned."""
    copy = tmp_path_factory.mktemp("repository") / "servermonitoring"
    for name in tracked_files():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run([*git, *words], cwd=copy, check=True)
    return copy


@pytest.fixture(scope="session")
def built_package(repository, tmp_path_factory) -> Path:
    """The Debian package, built as README says. Tests of it run in one worker, so that it is built once."""
    for name in ("dpkg-buildpackage", "dh"):
        program(name)
    directory = tmp_path_factory.mktemp("built")
    needed, commands = blocks("README.md", "Install")[0].split("\n", 1)
    names = needed.removeprefix("sudo apt-get install --yes ").split()
    subprocess.run(["dpkg-query", "--show", *names], check=True, capture_output=True)
    words = ["sh", "-ec", commands.replace(REPOSITORY, str(repository))]
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    (package,) = (directory / "servermonitoring/dist").glob("*.deb")
    return package
