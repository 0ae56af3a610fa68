"""What tests of browsers share."""

import shutil
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.servers.server import program, until
from tests.suite import FOLDER


@pytest.fixture
def chromium():
    program("chromium")
    return program("chromedriver")


@pytest.fixture
def no_process_left(tmp_path, monkeypatch):
    """Nothing that a run started is there after it, wherever it went; and no profile."""
    temporary = Path(tempfile.mkdtemp(dir="/tmp"))  # a short name, as a browser needs it
    monkeypatch.setenv("TMPDIR", str(temporary))
    yield
    until(lambda: not started_by(tmp_path), what="end of all processes")
    left = [each.name for each in temporary.iterdir()]
    shutil.rmtree(temporary)
    assert left == []


def started_by(folder):
    """Processes of this run that are alive, by what each of them inherits."""
    return [each for each in psutil.process_iter() if _folder_of(each) == str(folder)]


def _folder_of(process):
    try:
        return process.environ().get(FOLDER) if process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None
