"""Whatever is in the history's place: the run goes on, keeps its results, and says what is wrong."""

import contextlib
import json
import os
import random
import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from healthchecks.plugin import history
from healthchecks.plugin.history import postpone, record
from healthchecks.plugin.history.recorder import BACKLOG
from healthchecks.plugin.result import Status
from tests import ROOT
from tests.healthchecks.plugin.alerting.shops import Shops
from tests.healthchecks.plugin.history.test_history import POSTPONED, rows, run
from tests.reliability import reliability


def as_newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")


def as_foreign(path: Path) -> None:
    _remove(path)
    with contextlib.closing(sqlite3.connect(path)) as foreign, foreign:
        foreign.execute("CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")


def as_directory(path: Path) -> None:
    _remove(path)
    (path / "within").mkdir(parents=True)


def as_fifo(path: Path) -> None:
    _remove(path)
    os.mkfifo(path)


def as_device(path: Path) -> None:
    _remove(path)
    path.symlink_to("/dev/zero")


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


UNUSABLE = {
    as_newer: "it was made by a newer version (99) of servermonitoring",
    as_foreign: "it is the database of another program",
    as_directory: "it is a directory",
    as_fifo: "it is not a regular file",
    as_device: "it is not a regular file",
}


@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__)
def test_what_cannot_be_used_is_left_as_it_is_and_the_run_is_kept(tmp_path, spoil):
    path = tmp_path / history.NAME
    record(tmp_path, 400, run(0, Status.OK))
    spoil(path)
    before = path.lstat()
    data = record(tmp_path, 400, run(1, Status.FAILED))
    assert data.errors[0] == f"history {path}: {UNUSABLE[spoil]}"
    assert data.errors[1] == POSTPONED.format(tmp_path)
    assert (path.lstat().st_ino, path.lstat().st_mtime) == (before.st_ino, before.st_mtime)


class Receiver:
    """What a webhook was sent by the runs of one shop that is closed."""

    def __init__(self, folder, website):
        website.answer("/hook", "ok")
        self._website = website
        self.shops = Shops(folder, "a")
        self.shops.configure(f"[shop.a]\n[alerts]\nwebhook = '{website.url('/hook')}'\n")
        self.shops.say(a="closed")

    def titles(self):
        return sorted(json.loads(each.body)["title"].partition(":")[0] for each in self._website.requests)


@pytest.fixture
def receiver(tmp_path, website):
    return Receiver(tmp_path, website)


@reliability(
    "History",
    fault="the history is of a newer version or another program, or is a directory, a FIFO or a device",
    promise="one suite error; nobody is alerted twice of what fails; the results are kept",
)
@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__)
def test_nobody_is_alerted_twice_without_a_history(receiver, spoil):
    receiver.shops.run()
    spoil(receiver.shops.state / history.NAME)
    for _ in range(2):
        outcome = receiver.shops.run()
        assert f"{history.NAME}: {UNUSABLE[spoil]}" in outcome.output
    assert receiver.titles() == ["shop[a]", "suite[history]"]
    assert len(list((receiver.shops.state / BACKLOG).iterdir())) == 2


@reliability(
    "History",
    fault="the history is damaged in all but its header, also where the last release kept what was alerted",
    promise="nobody is alerted twice of what fails; the file is replaced, and the next run is normal",
)
def test_damage_in_the_middle_repeats_no_alert(receiver):
    receiver.shops.run()
    path = receiver.shops.state / history.NAME
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    assert "the history was damaged: renamed to" in receiver.shops.run().output
    assert "damaged" not in receiver.shops.run().output
    *alerts, recovery = receiver.titles()
    assert (alerts, recovery.partition(" after ")[0]) == (["shop[a]", "suite[history]"], "suite[history] recovered")


@reliability(
    "Alerts",
    fault="one bit is flipped in what an earlier release stored of alerts, in its history",
    promise="what fails is alerted",
)
def test_a_flipped_bit_in_the_alerts_of_an_earlier_release(receiver):
    receiver.shops.state.mkdir(mode=0o700, parents=True)
    with contextlib.closing(sqlite3.connect(receiver.shops.state / history.NAME)) as connection, connection:
        connection.executescript((ROOT / "tests/healthchecks/plugin/alerting/history_with_alerts.sql").read_text())
        connection.execute("UPDATE alerts SET kinds = '{' || substr(kinds, 2)")
    receiver.shops.run()
    assert "shop[a]" in receiver.titles()


@reliability(
    "History",
    fault="another process holds the history's lock",
    promise="the run waits a second once, and keeps its results",
)
def test_a_locked_history_is_waited_for_once(receiver):
    """Opened once to be written, and once to show the past: each opening is a line in a file."""
    receiver.shops.run()
    receiver.shops.write(
        "conftest.py",
        """
        import sqlite3
        from healthchecks.plugin.history import database

        class Connection(sqlite3.Connection):
            def execute(self, *arguments):
                try:
                    return super().execute(*arguments)
                except sqlite3.OperationalError as error:
                    print(error, file=open("waited.txt", "a"))
                    raise

        def connect(*arguments, **options):
            print("opened", file=open("opened.txt", "a"))
            return before(*arguments, **options, factory=Connection)

        before, sqlite3.connect = sqlite3.connect, connect
        assert database._WAIT <= 1
        """,
    )
    with contextlib.closing(sqlite3.connect(receiver.shops.state / history.NAME)) as other:
        other.execute("BEGIN EXCLUSIVE")
        outcome = receiver.shops.run()
        other.rollback()
    assert f"database is locked; {POSTPONED.format(receiver.shops.state)}" in outcome.output
    assert (receiver.shops.folder / "waited.txt").read_text().splitlines() == ["database is locked"]
    assert (receiver.shops.folder / "opened.txt").read_text().splitlines() == ["opened"] * 2
    (receiver.shops.folder / "opened.txt").unlink()
    assert "stored 1 earlier run" in receiver.shops.run().output
    assert (receiver.shops.folder / "opened.txt").read_text().splitlines() == ["opened"]
    *alerts, recovery = receiver.titles()
    assert (alerts, recovery.partition(" after ")[0]) == (["shop[a]", "suite[history]"], "suite[history] recovered")


@pytest.fixture
def read_only(receiver):
    """Makes the history's file one that cannot be written, also by root."""
    if os.geteuid() != 0:
        pytest.skip("missing: root, to mount a file read-only")
    path, mounted = receiver.shops.state / history.NAME, []

    def make():
        if subprocess.run(["mount", "--bind", path, path], check=False, capture_output=True).returncode:
            pytest.skip("missing: mount, to mount a file read-only")
        mounted.append(path)
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)

    yield make
    for each in mounted:
        subprocess.run(["umount", "-l", each], check=True)


@reliability(
    "History", fault="the history is read-only", promise="nobody is alerted twice, and the past is still shown"
)
def test_a_read_only_history(receiver, read_only):
    receiver.shops.run()
    read_only()
    for _ in range(2):
        outcome = receiver.shops.run()
        assert POSTPONED.format(receiver.shops.state) in outcome.output
    assert receiver.titles() == ["shop[a]", "suite[history]"]


def filled(directory: Path) -> bytes:
    """A history of some pages, with the tables of reports in it."""
    for minute in range(40):
        record(directory, 400, run(minute, *[Status.OK if minute % 7 else Status.FAILED] * 12, name=str(minute)))
    with contextlib.closing(sqlite3.connect(directory / history.NAME)) as connection:
        connection.executescript(
            "CREATE TABLE reports (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT)"
        )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (directory / history.NAME).read_bytes()


def is_in_order(directory: Path, minute: int) -> bool:
    """Whether this run is stored, and the file whole."""
    moment = int(run(minute).started.timestamp())
    with contextlib.closing(sqlite3.connect(directory / history.NAME)) as connection:
        stored = connection.execute("SELECT count(*) FROM results WHERE time = ?", (moment,)).fetchone() == (12,)
        return stored and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)


@pytest.mark.parametrize("seed", range(3))
def test_damage_anywhere_is_repaired_when_it_is_found(tmp_path, seed):
    """Single bits, runs of rubbish, and a file that ends early; on a day of the integrity check."""
    whole, chance = filled(tmp_path), random.Random(seed)
    for _ in range(30):
        damaged = bytearray(whole)
        place = chance.randrange(len(whole))
        if chance.random() < 0.5:
            damaged[place] ^= 1 << chance.randrange(8)
        else:
            length = chance.choice([4, 100, 5000])
            damaged[place : place + length] = chance.randbytes(length)[: len(whole) - place]
        _remove(tmp_path / history.NAME)
        (tmp_path / history.NAME).write_bytes(damaged if chance.random() < 0.8 else damaged[:place])
        unreadable = contextlib.suppress(sqlite3.Error, UnicodeDecodeError)
        with unreadable, contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as one:
            one.execute("DELETE FROM facts")
            one.commit()
        data = record(tmp_path, 400, run(50, *[Status.OK] * 12))
        unusable = [each for each in data.errors if "it was made by" in each or "another program" in each]
        assert unusable or is_in_order(tmp_path, 50), data.errors
        for each in tmp_path.glob("history-damaged-*"):
            each.unlink()


def test_a_page_of_the_checks_that_cannot_be_read_is_found_without_an_integrity_check(tmp_path):
    """It is read by every run."""
    filled(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'checks'").fetchone()[0]
    with (tmp_path / history.NAME).open("r+b") as file:
        file.seek(4096 * (page - 1))
        file.write(b"\xff" * 4096)
    data = record(tmp_path, 400, run(50, *[Status.OK] * 12))
    assert "the history was damaged: renamed to" in data.errors[0]
    assert is_in_order(tmp_path, 50)


@reliability(
    "History",
    fault="the history holds values, columns or tables that no run stored, as a flipped bit leaves them",
    promise="the run that finds them replaces the file and is stored; the next run is normal",
)
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE checks SET since = 'yesterday'",
        "UPDATE checks SET since = 1e300",
        "UPDATE checks SET kind = 'other'",
        "UPDATE checks SET label = x'ff'",
        "UPDATE results SET message = cast(x'ff' AS TEXT)",
        "UPDATE results SET seconds = 'long'",
        "UPDATE results SET seconds = 9e999",
        "UPDATE results SET status = 'bad'",
        "UPDATE runs SET seconds = 'long'",
        "ALTER TABLE results RENAME COLUMN message TO massage",
        "DROP TABLE runs",
    ],
)
def test_values_that_no_run_stored_are_damage(tmp_path, change):
    """As a flipped bit leaves them: SQLite itself sees nothing wrong."""
    for minute in range(3):
        record(tmp_path, 400, run(minute, *[Status.OK] * 13))
    with contextlib.closing(sqlite3.connect(tmp_path / history.NAME)) as connection, connection:
        connection.execute(change)
    data = record(tmp_path, 400, run(50, *[Status.OK] * 12))
    assert "the history was damaged: renamed to" in data.errors[0]
    assert is_in_order(tmp_path, 50)
    assert record(tmp_path, 400, run(51, *[Status.OK] * 12)).errors == []


@reliability(
    "History",
    fault="a result that no column takes waits to be stored",
    promise="it is renamed and reported; later ones are stored",
)
def test_what_can_never_be_stored_delays_no_later_run(tmp_path):
    for name, broken in {"1": {"message": 5}, "2": {"duration": 10**400}, "3": {"status": "gone"}}.items():
        postpone(tmp_path, run(0, Status.OK, name=name))
        (path,) = (each for each in (tmp_path / BACKLOG).iterdir() if each.name.endswith(f"-{name}.json"))
        document = json.loads(path.read_text())
        document["results"][0] |= broken
        path.write_text(json.dumps(document))
    postpone(tmp_path, run(1, Status.FAILED))
    data = record(tmp_path, 400, run(2, Status.FAILED))
    assert data.errors == [f"3 of the runs that had to wait cannot be stored: see {tmp_path / BACKLOG}"]
    assert data.notices == ["stored 1 earlier run that had to wait"]
    assert len(rows(tmp_path)) == 2
    assert {path.suffix for path in (tmp_path / BACKLOG).iterdir()} == {".unreadable"}
    assert record(tmp_path, 400, run(3, Status.FAILED)).errors == []


@pytest.mark.parametrize("odd", [{"duration": float("nan")}, {"duration": 10**400}, {"name": "\ud800"}], ids=str)
def test_a_run_that_can_never_be_stored_is_reported_and_delays_no_later_one(tmp_path, odd):
    data = record(tmp_path, 400, replace(run(0, Status.OK), **odd))
    assert data.errors[0].startswith("the results of this run cannot be stored: ")
    assert not (tmp_path / BACKLOG).exists()
    assert record(tmp_path, 400, run(1, Status.OK)).errors == []


@reliability(
    "History",
    fault="the pages of the reports are damaged, which runs of checks never read",
    promise="the run of reports that finds it replaces the file, and keeps the rest",
)
def test_damage_in_the_tables_of_reports_is_repaired_too(receiver):
    shops = receiver.shops
    shops.configure("[database.main]\nhost = '127.0.0.1'\nport = 9\n")
    shops.write("numbers.sql", "-- title: Numbers\nselect 1\n")
    shops.run("numbers.sql", "--monitoring-no-alerts")
    path = shops.state / history.NAME
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'reports'").fetchone()[0]
    with path.open("r+b") as file:
        file.seek(4096 * (page - 1))
        file.write(b"\xff" * 4096)
    assert "the history was damaged: renamed to" in shops.run("numbers.sql", "--monitoring-no-alerts").output
    assert "damaged" not in shops.run("numbers.sql", "--monitoring-no-alerts").output
    assert len(rows(shops.state, "runs")) == 3


@pytest.mark.parametrize(("patience", "hanging"), [("_PATIENCE", "check_readable"), ("_PATIENCE_AT_WORK", "record")])
def test_a_history_that_hangs_delays_no_page_and_no_exit(suite, patience, hanging):
    """A disk that never answers; stood in for by a wait, since a frozen one would keep the process for good."""
    suite.write("test_mine.py", "import pytest\n@pytest.mark.healthcheck\ndef test_ok():\n    pass\n")
    suite.write(
        "conftest.py",
        f"""
        import threading
        from healthchecks.plugin import shutdown

        shutdown.{patience} = 0.2
        shutdown.history.{hanging} = lambda *_: threading.Event().wait()
        """,
    )
    outcome = suite.run("test_mine.py", "--monitoring-no-alerts")
    assert outcome.status == 0, outcome.output
    assert f"history.sqlite: no response within 0.2 s; {POSTPONED.format(suite.state)}" in outcome.output
    assert "1 check is ok" in (suite.page / "index.html").read_text()
    (suite.folder / "conftest.py").unlink()
    assert "stored 1 earlier run that had to wait" in suite.run("test_mine.py", "--monitoring-no-alerts").output
