"""What a watchdog notes of its terminations makes the next one kill those processes, and no others."""

import json
import os

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import needed
from watchdog import processes, state
from watchdog.browsers import Browser
from watchdog.policy import Rule
from watchdog.state import Journal

OWNER, ENEMY = 65534, 54321  # two users that are not root
DEAD = "killing-4194304-1.json"  # of a watchdog that is no more


@pytest.fixture
def process(kennel):
    """A process of OWNER, as root; else of this user."""
    options = {"user": OWNER, "group": OWNER, "extra_groups": []} if os.geteuid() == 0 else {}
    process = kennel.start([needed("sleep"), "600"], **options)
    return processes.find(process.pid)


def noted(tmp_path, process, **changes):
    """The note of a dead watchdog that was killing the process."""
    browser = Browser(process, Rule(), 0, [], {process.pid: process})
    text = json.loads(state._as_text([browser])) | changes
    path = tmp_path / DEAD
    path.write_text(json.dumps(text))
    path.chmod(0o600)
    return path


def unfinished(tmp_path):
    notes = Journal(tmp_path)
    found = [member for browser in notes.unfinished() for member in browser.members.values()]
    notes.remove_old()
    return found


def test_what_was_begun_is_found(tmp_path, process):
    path = noted(tmp_path, process)
    (found,) = unfinished(tmp_path)
    assert found[:2] == process[:2]
    assert not path.exists()


@reliability("Watchdog", fault="a pid that was to be killed is another's today", promise="it is not killed")
@pytest.mark.parametrize("changes", [{"boot": "another"}, {"pids": "pid:[1]"}])
def test_pids_of_another_time_or_place(tmp_path, process, changes):
    """The note of another container is left to its own watchdog."""
    path = noted(tmp_path, process, **changes)
    assert unfinished(tmp_path) == []
    assert path.exists() == ("pids" in changes)


def test_another_process_with_the_pid(tmp_path, process):
    noted(tmp_path, process._replace(start=process.start - 1))
    assert unfinished(tmp_path) == []


def test_the_note_of_a_watchdog_that_lives_is_left_alone(tmp_path, process):
    me = processes.find(os.getpid())
    path = noted(tmp_path, process).rename(tmp_path / f"killing-{me.pid}-{me.start}.json")
    assert unfinished(tmp_path) == []
    assert path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: root (to act as another user)")
@reliability(
    "Watchdog",
    fault="another user, who shares root's state directory, writes a note",
    promise="root kills nothing for it that this user could not kill",
)
def test_the_note_of_another_user(tmp_path, process):
    os.chown(noted(tmp_path, process), ENEMY, ENEMY)
    assert unfinished(tmp_path) == []
    os.chown(noted(tmp_path, process), OWNER, OWNER)
    assert [found[:2] for found in unfinished(tmp_path)] == [process[:2]]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"terminations": []}', "x" * 2_000_000, "[" * 100_000])
def test_rubbish(tmp_path, caplog, text):
    """Said once, and removed."""
    (tmp_path / DEAD).write_text(text)
    assert unfinished(tmp_path) == []
    assert "invalid journal" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
def test_no_file(tmp_path, caplog, make):
    make(tmp_path / DEAD)
    assert unfinished(tmp_path) == []
    assert "invalid journal" in caplog.text


def test_a_directory_that_is_gone(tmp_path, process, caplog):
    """Nothing is noted and nothing found, with one warning."""
    browser = Browser(process, Rule(), 0, [], {process.pid: process})
    notes = Journal(tmp_path / "gone")
    notes.note([browser], wait=True)
    notes.note([])
    notes.note([browser], wait=True)
    assert notes.unfinished() == []
    assert caplog.text.count("the journal of kills cannot be written") == 1
