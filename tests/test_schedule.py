"""Workers of xdist: which files they share, and what they do when they are interrupted."""

import os

import pytest

from tests import ROOT
from tests.fork_server import run_pytest
from tests.schedule import ServerScheduling

INTERRUPTED = """
import os, signal
from pathlib import Path
import pytest

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

@pytest.fixture
def server():
    yield
    interrupt()
    Path("ended").touch()

def test_interrupted(server):
    interrupt()
"""
NOTE = """
import os
with open("imported by " + os.environ["PYTEST_XDIST_WORKER"], "a") as file:
    print(__name__, file=file)
"""


@pytest.fixture
def scope(pytestconfig):
    """Return the scope of a test; the rest of a schedule needs workers."""
    schedule = ServerScheduling.__new__(ServerScheduling)
    schedule.config = pytestconfig
    return lambda file: schedule._split_scope(f"{file}::test_it[::x]")


@pytest.mark.parametrize("folder", ["healthchecks", "servers"])
def test_files_of_a_slow_server_are_one_scope(scope, folder):
    assert scope(f"tests/{folder}/test_rabbitmq.py") == scope("tests/test_system.py") == "rabbitmq"
    assert scope("tests/healthchecks/test_probe_values.py") == "rabbitmq", "which asks for it by name"
    assert scope("tests/servermonitoring/delivery/test_faults.py") == "bugsink", "of which a fixture asks for it"


def test_every_other_file_is_its_own(scope):
    for file in ("tests/healthchecks/test_disk.py", "tests/healthchecks/plugin/probes/test_peers.py"):
        assert scope(file) == file


def test_an_interrupted_worker_ends_what_it_has_started(tmp_path):
    """Although it is interrupted again meanwhile: otherwise servers and browsers of its tests would live on."""
    (tmp_path / "test_interrupted.py").write_text(INTERRUPTED)
    options = "-n", "1", "-p", "tests.conftest", "-c", os.devnull, "--rootdir", str(tmp_path)
    status, output = run_pytest(*options, "test_interrupted.py", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert status == pytest.ExitCode.INTERRUPTED, output
    assert (tmp_path / "ended").exists(), output


def test_each_worker_compiles_a_part_of_the_files(tmp_path):
    """It imports its part first, then what the other has compiled; what is wrong with a file is reported once."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name in "ab":
        (folder / f"test_{name}.py").write_text(f"{NOTE}def test_it(): pass\n")
    (folder / "test_c.py").write_text(f'{NOTE}import pytest\npytest.skip("missing: c", allow_module_level=True)\n')
    options = "-n", "2", "-p", "tests.conftest", "-c", os.devnull, "--rootdir", str(tmp_path)
    status, output = run_pytest(*options, "package", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert (status, "2 passed, 1 skipped" in output) == (0, True), output
    first = [(tmp_path / f"imported by gw{number}").read_text().split() for number in (0, 1)]
    assert first == [[f"package.test_{name}" for name in order] for order in ("acbc", "bac")]
