"""What the tests of the deployment share: the project as git would hand it out, and Debians to install it on."""

import shutil
import subprocess
from pathlib import Path

import pytest

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
def built_package(tmp_path_factory) -> Path:
    """The Debian package. The files of tests that need it run in one worker, so that it is built once."""
    for name in ("dpkg-buildpackage", "dh"):
        program(name)
    directory = tmp_path_factory.mktemp("built")
    done = subprocess.run([ROOT / "deploy/debian/build", directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    (package,) = directory.glob("*.deb")
    return package
