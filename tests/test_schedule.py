"""Files that ask for the same slow server are given to the same worker."""

import pytest

from tests.schedule import ServerScheduling


@pytest.fixture
def scope(pytestconfig):
    """Return the scope of a test; the rest of a schedule needs workers."""
    schedule = ServerScheduling.__new__(ServerScheduling)
    schedule.config = pytestconfig
    return lambda file: schedule._split_scope(f"{file}::test_it[::x]")


@pytest.mark.parametrize("folder", ["healthchecks", "servers"])
def test_files_of_a_slow_server_are_one_scope(scope, folder):
    assert scope(f"tests/{folder}/test_rabbitmq.py") == scope("tests/test_system.py") == "rabbitmq"


def test_every_other_file_is_its_own(scope):
    for file in ("tests/healthchecks/test_disk.py", "tests/healthchecks/plugin/probes/test_peers.py"):
        assert scope(file) == file
