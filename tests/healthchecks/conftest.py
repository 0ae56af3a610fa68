"""What tests of browsers share."""

import shutil
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.servers.server import until


@pytest.fixture
def no_process_left(monkeypatch):
    """Nothing that a run started is there after it, wherever it went; and no profile."""
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))  # a short name, as a browser needs it
    monkeypatch.setenv("TMPDIR", str(temporary))
    yield
    until(lambda: not started_by(temporary), 60, what="end of all processes")
    left = [each.name for each in temporary.iterdir()]
    shutil.rmtree(temporary)
    assert left == []


def started_by(temporary):
    """Processes that are alive and have their temporary files there: a browser inherits little else."""
    return [each for each in psutil.process_iter() if _temporary_of(each).startswith(str(temporary))]


def _temporary_of(process):
    try:
        return process.environ().get("TMPDIR", "") if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.Error:
        return ""
