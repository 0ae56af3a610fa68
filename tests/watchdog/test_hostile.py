"""The directory of records is hostile ground: others try to save, to kill, and to have things removed."""

import contextlib
import logging
import os
import shutil
import time

import pytest

from tests.watchdog.kennel import as_user, needed, wait_for
from watchdog import processes
from watchdog.browsers import Browser
from watchdog.policy import Rule
from watchdog.processes import uptime
from watchdog.validation import directory, validate_process
from watchdog.validation import records as retention
from watchdog.validation.tracker import ValidationTracker
from watchdog.watcher import Watcher

OWNER, ENEMY = 65534, 54321  # two users that are not root

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="missing: root (to act as other users)")


@pytest.fixture
def place(shared, monkeypatch):
    """Where the directory of records is to be; any user can make it."""
    place = shared / "validated"
    monkeypatch.setenv(directory.VARIABLE, str(place))
    return place


@pytest.fixture
def browser(kennel, shared):
    """A browser of OWNER."""
    program = shared / "firefox"
    shutil.copy(needed("sleep"), program)
    process = kennel.start([program, "600"], user=OWNER, group=OWNER, extra_groups=[])
    wait_for(lambda: processes.find(process.pid).name == "firefox")
    return process


def name_of(process):
    return f"{process.pid}-{processes.find(process.pid).start}"


def seen(process, caplog=None):
    """Return when it was validated, by the records, and whether those count at all."""
    main = processes.find(process.pid)
    browser = Browser(main, Rule(validated_within=0.01), processes.user(process.pid), [], {main.pid: main})
    with caplog.at_level(logging.INFO) if caplog else contextlib.nullcontext():
        tracker = ValidationTracker(repair=True)
        tracker.update(browser, uptime())
    return "only memory counts" if tracker.suspension.reason else browser.validated_at


def test_owner_validates(place, browser):
    ValidationTracker(repair=True).clean_up()
    assert place.stat().st_mode & 0o7777 == 0o1777
    assert as_user(OWNER, lambda: validate_process(browser.pid)) == "True"
    assert abs(seen(browser) - uptime()) < 60
    (record,) = place.iterdir()
    assert record.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("place")
def test_nobody_else_can_validate_it(browser, caplog):
    ValidationTracker(repair=True).clean_up()
    assert as_user(ENEMY, lambda: validate_process(browser.pid)) == "True"  # a record is written …
    assert seen(browser, caplog) is None  # … and ignored
    assert f"belongs to user {ENEMY}, the process to user {OWNER}" in caplog.text


def test_a_name_taken_by_another_user_does_not_keep_the_owner_out(place, browser):
    ValidationTracker(repair=True).clean_up()
    as_user(ENEMY, (place / name_of(browser)).mkdir)
    assert as_user(OWNER, lambda: validate_process(browser.pid)) == "True"
    assert abs(seen(browser) - uptime()) < 60


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no time"),
        (b"rubbish \xff\0", "could not convert"),
        (b"nan", "holds no time"),
        (b"inf", "holds no time"),
        (b"-5", "is older than the process"),
        (b"9" * 60, "is in the future"),
        (b"9999999999", "is in the future"),
        (b"1" * 10**7, "bytes long, maximum 4096"),
    ],
)
def test_rubbish(place, browser, caplog, content, message):
    """Said, and as good as no record; and never an error."""
    ValidationTracker(repair=True).clean_up()
    as_user(OWNER, lambda: (place / name_of(browser)).write_bytes(content))
    assert seen(browser, caplog) is None
    assert message in caplog.text


def test_fifo_link_and_hard_link(place, browser, shared, caplog):
    """Nothing is followed, and nothing waits."""
    ValidationTracker(repair=True).clean_up()
    valid = shared / "valid"
    as_user(OWNER, lambda: valid.write_text(f"{uptime()}\n"))
    for make in (
        os.mkfifo,
        lambda path: path.symlink_to(valid),
        lambda path: path.hardlink_to(valid),
        lambda path: path.mkdir(),
    ):
        path = place / f"{name_of(browser)}.x"
        as_user(OWNER, lambda make=make, path=path: make(path))
        assert seen(browser, caplog) is None
        path.rmdir() if not path.is_symlink() and path.is_dir() else path.unlink()
    assert caplog.text.count("invalid validation record") == 4


def test_directory_made_beforehand_by_another_user(place, browser, caplog):
    """Root takes it over, so that its maker can not remove or rename records in it."""
    as_user(ENEMY, lambda: (place.mkdir(), place.chmod(0o777)))
    assert as_user(OWNER, lambda: validate_process(browser.pid)) == "True"
    assert abs(seen(browser, caplog) - uptime()) < 60
    assert f"was made by user {ENEMY}: taken over by root" in caplog.text
    assert (place.stat().st_uid, place.stat().st_mode & 0o7777) == (0, 0o1777)
    with pytest.raises(AssertionError, match="PermissionError"):
        as_user(ENEMY, (place / name_of(browser)).unlink)


def test_directory_of_another_user_is_ignored_without_root(place, browser):
    """A watchdog that cannot take it over kills nobody for a missing validation, and says so."""
    as_user(ENEMY, lambda: (place.mkdir(), place.chmod(0o1777)))

    def watch():
        time.sleep(2.1)  # past its time
        watcher = Watcher([Rule(command=str(place.parent), validated_within=2, grace=0.1)], None)
        watcher.scan()
        time.sleep(2.1)
        watcher.scan()
        watcher.finish()
        return seen(browser)

    assert as_user(OWNER, watch) == "only memory counts"
    assert browser.poll() is None


def test_planted_link_as_directory(place, browser, shared, caplog):
    treasure = shared / "treasure"
    treasure.mkdir(mode=0o777)
    (treasure / "1-1").write_text("keep")
    as_user(ENEMY, lambda: place.symlink_to(treasure))
    assert validate_process(browser.pid) is False
    ValidationTracker(repair=True).clean_up()
    assert seen(browser, caplog) == "only memory counts"
    assert "is a symbolic link" in caplog.text
    assert [path.name for path in treasure.iterdir()] == ["1-1"]
    assert treasure.stat().st_mode & 0o1000 == 0


def test_records_of_the_dead_are_removed_and_nothing_else(place, browser, shared):
    ValidationTracker(repair=True).clean_up()
    other = shared / "other"
    other.write_text("keep")
    validate_process(browser.pid)
    for name in ("999999-1", ".999999-1.abc", "999998-1.abc"):
        (place / name).write_text(f"1\nvalidated by process 1{retention.mark()}\n")
    (place / "999997-1").symlink_to(other)
    (place / "notes.txt").write_text("keep")
    ValidationTracker(repair=True).clean_up()
    assert {path.name for path in place.iterdir()} == {name_of(browser), "notes.txt"}
    assert other.read_text() == "keep"


def test_unwritable_directory(place, browser):
    place.mkdir(mode=0o755)
    assert as_user(OWNER, lambda: validate_process(browser.pid)) == "False"


def test_full_disk(tiny_disk, browser, monkeypatch, caplog):
    """The scraper goes on, with one warning; and leaves no half record."""
    monkeypatch.setenv(directory.VARIABLE, str(tiny_disk / "validated"))
    ValidationTracker(repair=True).clean_up()
    with contextlib.suppress(OSError), (tiny_disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    before = sorted((tiny_disk / "validated").iterdir())
    for _ in range(3):
        assert validate_process(browser.pid) is False
    assert caplog.text.count("cannot be validated") == 1
    assert sorted((tiny_disk / "validated").iterdir()) == before


@pytest.mark.parametrize("pid", [0, -1, 2**40, "x", None])
@pytest.mark.usefixtures("place")
def test_nonsense_never_raises(pid):
    assert validate_process(pid) is False


def test_another_users_browser_without_root(place, browser):
    """It is said at once, and not killed."""

    def watch():
        records = []
        handler = logging.Handler()
        handler.emit = lambda record: records.append(record.getMessage())
        logging.getLogger("watchdog").addHandler(handler)
        Watcher([Rule(command=str(place.parent), validated_within=0.01, max_memory=1)], None).scan()
        return "\n".join(records)

    text = as_user(ENEMY, watch)
    assert "this user may not kill it" in text
    assert "killed firefox" not in text
    assert browser.poll() is None
