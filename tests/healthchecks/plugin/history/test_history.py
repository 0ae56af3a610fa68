"""The history: what goes in comes out, once, whatever happens to the file."""

import contextlib
import os
import sqlite3
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from healthchecks.plugin import history
from healthchecks.plugin.history import FinishedRun, archive, database, postpone, record
from healthchecks.plugin.history.recorder import BACKLOG
from healthchecks.plugin.history.store import Kind
from healthchecks.plugin.result import Result, Status

START = datetime(2026, 11, 24, tzinfo=UTC)
POSTPONED = "the results of this run wait in {}/unstored, to be stored by a later run"
OLD_SCHEMA = """
CREATE TABLE checks (id INTEGER PRIMARY KEY, name TEXT NOT NULL, target TEXT NOT NULL, UNIQUE (name, target));
CREATE TABLE runs (time INTEGER PRIMARY KEY, seconds REAL NOT NULL, interrupted INTEGER NOT NULL);
CREATE TABLE results (check_id INTEGER NOT NULL REFERENCES checks, time INTEGER NOT NULL,
                      status INTEGER NOT NULL, seconds REAL NOT NULL, message TEXT NOT NULL,
                      PRIMARY KEY (check_id, time)) WITHOUT ROWID;
"""


def run(minutes, *states, **facts):
    """A run so many minutes after START, in which check n had the n-th state."""
    started = START + timedelta(minutes=minutes)
    return FinishedRun(
        [result(f"c{number}", state, started) for number, state in enumerate(states)], started, 1.0, **facts
    )


def result(target, status, started=START, message=""):
    label = f"job[{target}]"
    return Result("job", target, label, status, message, 0.5, started, "here", extras={"reference": f"job.{target}"})


def rows(directory, table="results"):
    """Return the rows of a table by time; the results include the packed ones."""
    with contextlib.closing(sqlite3.connect(directory / history.NAME)) as connection:
        if table == "results":
            return [(check, *row) for check, row in archive.all_rows(connection)]
        return connection.execute(f"SELECT * FROM {table} ORDER BY time").fetchall()


@pytest.mark.parametrize(
    ("states", "since", "runs", "kind"),
    [
        (["ok", "ok", "slow"], 0, 3, Kind.PASSING),
        (["ok", "failed", "error"], 1, 2, Kind.FAILING),
        (["failed", "ok", "failed"], 2, 1, Kind.FAILING),
        (["failed", "skipped", "failed"], 0, 2, Kind.FAILING),
        (["ok", "blocked", "blocked"], 1, 2, Kind.BLOCKED),
        (["failed", "blocked", "failed"], 2, 1, Kind.FAILING),
    ],
)
def test_the_streak_is_since_when_and_how_often_in_a_row(tmp_path, states, since, runs, kind):
    """A skipped run does not count and does not break the row; what is blocked is apart from what fails."""
    for number, state in enumerate(states):
        record(tmp_path, 400, run(number, Status(state)))
    with history.opened(tmp_path, 400) as opened:
        assert opened.streak(("job", "c0")) == history.Streak(START + timedelta(minutes=since), runs, kind)
        assert opened.streak(("job", "unheard of")) is None


def test_a_check_only_skipped_has_no_streak(tmp_path):
    record(tmp_path, 400, run(0, Status.SKIPPED))
    with history.opened(tmp_path, 400) as opened:
        assert opened.streak(("job", "c0")) is None


def test_the_last_results_come_newest_first(tmp_path):
    for minute, state in enumerate([Status.OK, Status.FAILED, Status.SLOW]):
        record(tmp_path, 400, run(minute, state))
    with history.opened(tmp_path, 400) as opened:
        recent = opened.recent(("job", "c0"), 2)
    assert [(each.status, each.moment) for each in recent] == [
        (Status.SLOW, START + timedelta(minutes=2)),
        (Status.FAILED, START + timedelta(minutes=1)),
    ]


def test_a_history_of_version_0_1_is_taken_over(tmp_path):
    """With everything in it: results, and since when each check is as it is."""
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as old, old:
        old.executescript(OLD_SCHEMA)
        old.execute("INSERT INTO checks VALUES (7, 'job', 'c0'), (8, 'alone', '')")
        for minute, state in enumerate([0, 2, 5, 3]):
            moment = int((START + timedelta(minutes=minute)).timestamp())
            old.execute("INSERT INTO runs VALUES (?, 1, 0)", (moment,))
            old.execute("INSERT INTO results VALUES (7, ?, ?, 0.5, 'why')", (moment, state))
            old.execute("INSERT INTO results VALUES (8, ?, 0, 0.5, '')", (moment,))
    with history.opened(tmp_path, 400) as opened:
        assert opened.streak(("job", "c0")) == history.Streak(START + timedelta(minutes=1), 2, Kind.FAILING)
        assert opened.streak(("alone", "")).runs == 4
    data = record(tmp_path, 400, run(4, Status.FAILED))
    assert data.errors == []
    assert data.streaks["job", "c0"].runs == 3
    past, alone = data.checks
    assert (past.label, alone.label) == ("job[c0]", "alone")
    assert [str(each.status) for each in past.recent] == ["ok", "failed", "skipped", "error", "failed"]


def test_a_history_of_a_newer_version_is_left_alone(tmp_path):
    record(tmp_path, 400, run(0, Status.OK))
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as newer:
        newer.execute("PRAGMA user_version = 99")
    data = record(tmp_path, 400, run(1, Status.OK))
    assert "made by a newer version (99)" in data.errors[0]
    assert len(rows(tmp_path)) == 1
    assert len(list((tmp_path / BACKLOG).iterdir())) == 1


def test_what_is_old_is_forgotten_and_a_wrong_clock_wipes_nothing_out(tmp_path):
    """Runs older than the days kept go, a few at each run: a clock ten years ahead costs three runs, not all."""
    for minute in range(10):
        record(tmp_path, 30, run(minute, Status.OK))
    record(tmp_path, 30, run(60 * 24 * 3650, Status.OK))
    assert len(rows(tmp_path)) == 8
    for minute in range(10):
        record(tmp_path, 30, run(60 * 24 * 31 + minute, Status.OK))
    assert len([row for row in rows(tmp_path) if row[1] < START.timestamp() + 3600]) == 0


def test_two_runs_of_one_second_are_two(tmp_path):
    record(tmp_path, 400, run(0, Status.OK))
    record(tmp_path, 400, run(0, Status.FAILED))
    assert len(rows(tmp_path)) == 2


def test_a_run_is_stored_once_whoever_tries(tmp_path):
    """A process that is killed between storing and removing the file leaves the file."""
    waiting = run(0, Status.FAILED)
    record(tmp_path, 400, waiting)
    postpone(tmp_path, waiting)
    data = record(tmp_path, 400, run(1, Status.FAILED))
    assert data.notices == []
    assert len(rows(tmp_path)) == 2
    assert list((tmp_path / BACKLOG).iterdir()) == []


def test_a_locked_history_gets_its_runs_later_in_order(tmp_path, monkeypatch):
    """What could not be stored is kept in a private file, and stored before the next run, each with its own time."""
    monkeypatch.setattr(database, "_WAIT", 0.1)
    record(tmp_path, 400, run(0, Status.OK))
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for minute in (1, 2):
            data = record(tmp_path, 400, run(minute, Status.FAILED))
            assert "database is locked" in data.errors[0]
            assert data.errors[1] == POSTPONED.format(tmp_path)
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / BACKLOG).iterdir()} == {0o600}
        other.rollback()
    data = record(tmp_path, 400, run(3, Status.FAILED))
    assert data.notices == ["stored 2 earlier runs that had to wait"]
    assert data.streaks["job", "c0"] == history.Streak(START + timedelta(minutes=1), 3, Kind.FAILING)
    assert [str(each.status) for each in data.checks[0].recent] == ["ok", "failed", "failed", "failed"]


def test_rubbish_in_the_spool_holds_up_nothing(tmp_path):
    record(tmp_path, 400, run(0, Status.OK))
    folder = tmp_path / BACKLOG
    folder.mkdir()
    for name, text in {"1": "{", "2": "[]", "3": '{"results": 5}', "4": "[" * 100_000}.items():
        (folder / f"{name}.json").write_text(text)
    (folder / "5.json").symlink_to("/dev/zero")
    data = record(tmp_path, 400, run(1, Status.OK))
    assert data.notices == []
    assert len(rows(tmp_path)) == 2
    assert {path.suffix for path in folder.iterdir()} == {".unreadable"}


def test_damage_in_the_middle_is_found_put_aside_and_nothing_of_this_run_is_lost(tmp_path):
    """Inserts succeed on it for years: it is checked once a day, and this is a new day."""
    record(tmp_path, 400, run(0, Status.FAILED))
    with history.opened(tmp_path, 400) as opened, opened.connection:
        opened.connection.executemany(
            "INSERT INTO results VALUES (1, ?, 2, 0.5, ?, 0)", [(n, "x" * 200) for n in range(2000)]
        )
        opened.connection.execute("DELETE FROM facts")
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    with (tmp_path / history.NAME).open("r+b") as file:
        file.seek(4096 * (pages // 2))
        file.write(os.urandom(4096 * 4))
    data = record(tmp_path, 400, run(500, Status.OK))
    assert "the history was damaged: renamed to" in data.errors[0]
    assert rows(tmp_path)[-1][:3] == (1, run(500).started.timestamp(), 0)
    assert 500 < len(rows(tmp_path)) < 2000, "what can be read of it is saved"
    assert len(list(tmp_path.glob("history-damaged-*.sqlite"))) == 1


def test_a_full_disk_is_reported_and_what_was_stored_is_still_shown(small_disk):
    for minute in range(3):
        record(small_disk, 400, run(minute, Status.OK))
    with contextlib.suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    data = record(small_disk, 400, run(3, *[Status.FAILED] * 100))
    assert "full" in data.errors[0]
    assert data.errors[1].startswith("the results of this run will be missing from the history: ")
    assert len(data.checks) == 1
    (small_disk / "fill").unlink()
    assert record(small_disk, 400, run(4, Status.OK)).errors == []
    assert len(rows(small_disk)) == 4


def test_a_read_only_disk_is_reported_and_the_past_is_still_shown(small_disk):
    for minute in range(3):
        record(small_disk, 400, run(minute, Status.OK))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    data = record(small_disk, 400, run(3, Status.FAILED))
    assert data.errors[0].startswith(f"history {small_disk / history.NAME}: ")
    assert "Read-only file system" in data.errors[1]
    assert [str(each.status) for each in data.checks[0].recent] == ["ok"] * 3


def test_what_a_clock_ahead_of_time_stored_is_not_shown_before_its_time(tmp_path):
    record(tmp_path, 400, run(0, Status.OK))
    record(tmp_path, 400, run(60 * 24, Status.FAILED))
    data = record(tmp_path, 400, run(10, Status.OK))
    assert [str(each.status) for each in data.checks[0].recent] == ["ok", "ok"]
    assert len(data.runs) == 2
