"""Where the state is: configured, or where the system's rules want it; and only the user's own."""

import pytest

from servermonitoring import state_directory


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


def test_below_the_home_by_default(home):
    assert state_directory.location() == home / ".local/state/servermonitoring"


def test_below_xdg_state_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_directory.location() == tmp_path / "xdg/servermonitoring"


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_a_relative_xdg_state_home_is_passed_over(monkeypatch, home, value):
    """As its specification says: else the state would depend on the directory cron runs in."""
    monkeypatch.setenv("XDG_STATE_HOME", value)
    assert state_directory.location() == home / ".local/state/servermonitoring"


def test_where_it_is_configured(monkeypatch, home):
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert state_directory.location("~/mine") == home / "mine"
    assert state_directory.location("/var/lib/monitoring").as_posix() == "/var/lib/monitoring"


def test_location_makes_nothing_and_directory_a_private_one(home):
    state_directory.location()
    assert list(home.iterdir()) == []
    made = state_directory.directory()
    assert made.is_dir()
    assert made.stat().st_mode & 0o777 == 0o700


def test_what_cannot_be_made_is_an_os_error(home):
    (home / "file").touch()
    with pytest.raises(OSError, match="file"):
        state_directory.directory(str(home / "file" / "state"))
