"""Fixtures of the watchdog's tests."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.watchdog.kennel import Kennel, Site, Watching, records, wait_for, written
from watchdog import processes


@pytest.fixture
def kennel(tmp_path, monkeypatch):
    """Where this test's browsers live; they are ended with it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    kennel = Kennel(tmp_path)
    yield kennel
    kennel.end()


@pytest.fixture
def watching(kennel):
    """Starts the real watchdog with these rules."""

    def start(rule="", *arguments, **options):
        return Watching(kennel, rule, *arguments, **options)

    return start


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    """No test touches the records of a watchdog that really watches this machine, and none speaks to it."""
    monkeypatch.setenv("WATCHDOG_VALIDATED_DIR", str(records(tmp_path)))
    monkeypatch.setenv("WATCHDOG_SOCKET", str(tmp_path / "validation.socket"))
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("SERVERMONITORING_CONFIG", raising=False)
    assert os.environ["WATCHDOG_VALIDATED_DIR"]


@pytest.fixture
def is_validated(tmp_path, monkeypatch):
    """Return whether a driven browser is validated by what is done meanwhile, however short ago it was before."""
    monkeypatch.setattr("watchdog.selenium._INTERVAL", 0.0)

    def is_validated(pid, work):
        for old in written(tmp_path, pid):
            old.unlink()
        work()
        return bool(written(tmp_path, pid))

    return is_validated


@pytest.fixture
def own_clock(monkeypatch):
    """The test may set the clock of the package."""
    for name in ("_is_uptime_of_container", "_uptime_of_kernel"):
        monkeypatch.setattr(processes, name, getattr(processes, name))


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture
def shared():
    """A directory that every user may write in, as /tmp."""
    directory = Path(tempfile.mkdtemp(prefix="watchdog-test-"))
    directory.chmod(0o1777)
    yield directory
    wait_for(lambda: shutil.rmtree(directory, ignore_errors=True) or not directory.exists())  # a browser may still end
