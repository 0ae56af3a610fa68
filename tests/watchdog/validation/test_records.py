"""Validation records that cannot be written, are lost, or lie among those of others: nobody healthy dies for it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import WATCHDOG, as_user, needed, wait_for
from watchdog import processes, validation
from watchdog.browsers import Browser, Browsers
from watchdog.policy import Rule
from watchdog.process_table import ProcessTable
from watchdog.processes import uptime
from watchdog.validation import directory, records, validate_process
from watchdog.validation.receiver import Receiver, Validations
from watchdog.validation.tracker import ValidationTracker

OWNER, ENEMY = 65534, 54321  # two users that are not root
HUNG = "validated_within = 1\nrevalidated_every = 1\ngrace = 0.3"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="missing: root (to act as other users)")


def fill(disk):
    with contextlib.suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def remount(disk, options):
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def exhaust(disk):
    remount(disk, "nr_inodes=5")
    with contextlib.suppress(OSError):
        for number in range(10):
            (disk / f"{number}").touch()


def browser_of(process, rule=None):
    main = processes.find(process.pid)
    return Browser(main, rule or Rule(), processes.user(process.pid), [], {main.pid: main})


def status(watch):
    command = [*WATCHDOG, "status", "--config", watch.config]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=watch.environment).stdout


BROKEN = {
    "full": (fill, lambda disk: (disk / "fill").unlink()),
    "no inodes": (exhaust, lambda disk: remount(disk, "nr_inodes=100")),
    "read-only": (lambda disk: remount(disk, "ro"), lambda disk: remount(disk, "rw")),
}


@reliability(
    "Watchdog",
    fault="records cannot be made: disk full, no inodes, read-only",
    promise="nobody is killed for a missing validation, status says so; afterwards the limits are in force again",
)
@pytest.mark.parametrize("how", BROKEN)
def test_records_that_cannot_be_made(kennel, watching, tiny_disk, how):
    damage, repair = BROKEN[how]
    place = tiny_disk / "validated"
    place.mkdir()
    place.chmod(0o1777)
    damage(tiny_disk)
    process = kennel.stand_in()
    watch = watching(HUNG, env={"WATCHDOG_VALIDATED_DIR": str(place)})
    watch.said("ERROR validations cannot be recorded, so only memory limits apply")
    watch.said("watching firefox")
    time.sleep(2)  # past its time
    assert process.poll() is None, watch.text()
    wait_for(lambda: "VALIDATIONS CANNOT BE RECORDED, so only memory limits apply" in status(watch))
    repair(tiny_disk)
    watch.said("validations can be recorded again")
    process.wait(60)
    assert watch.text().count("cannot be recorded") == 1


@reliability(
    "Watchdog",
    fault="an existing record cannot be replaced on a full disk",
    promise="it is refreshed in place, and counts",
)
def test_existing_record_is_refreshed_in_place(kennel, tiny_disk, monkeypatch):
    monkeypatch.setenv(directory.VARIABLE, str(tiny_disk / "validated"))
    process = kennel.stand_in()
    assert validate_process(process.pid)
    fill(tiny_disk)
    time.sleep(0.5)
    since = uptime()
    assert validate_process(process.pid)
    browser = browser_of(process)
    ValidationTracker(repair=True).update(browser, uptime())
    assert browser.validated_at >= since - 0.02  # the uptime has two digits


@reliability(
    "Watchdog",
    fault="the driver's records are out of the watchdog's sight, or cannot be written",
    promise="its validations come through the socket, and a restarted watchdog knows them",
)
def test_validations_through_the_socket(kennel, watching, monkeypatch):
    watch = watching("validated_within = 4\nrevalidated_every = 300\ngrace = 0.3")
    wait_for((kennel.home / "validation.socket").is_socket)
    received, hung = kennel.stand_in(), kennel.stand_in()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(directory.VARIABLE, str(kennel.home / "elsewhere"))
        assert validate_process(received.pid)
    assert list((kennel.home / "validated").glob("[!.]*")) == []
    hung.wait(60)
    kept = watch.state / "validations.json"
    wait_for(lambda: kept.exists() and str(received.pid) in kept.read_text())
    watch.process.kill()
    watch.process.wait()
    watch.start()
    again = kennel.stand_in()
    again.wait(60)  # by then the first one's time would be up, too
    assert received.poll() is None, watch.text()


@reliability(
    "Watchdog",
    fault="another user speaks to the socket: forged, oversized, with descriptors",
    promise="the kernel names the sender; only validations of the browser's own user and root count",
)
@root_only
def test_hostile_senders(kennel, shared, monkeypatch):
    shared.chmod(0o755)
    path = shared / "validation.socket"
    monkeypatch.setenv(validation.VARIABLE, str(path))
    monkeypatch.setenv(directory.VARIABLE, "/proc/none")
    program = shared / "firefox"
    shutil.copy(needed("sleep"), program)
    process = kennel.start([program, "600"], user=OWNER, group=OWNER, extra_groups=[])
    main = processes.find(process.pid)
    known = Validations()
    receiver = Receiver(path, known.receive)
    before = len(list(Path("/proc/self/fd").iterdir()))

    def attack():
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.connect(str(path))
        message = f"{main.pid}-{main.start} {uptime():.2f}".encode()
        for each in (message, message.ljust(60_000), b"", b"\xff" * 64, message.replace(b" ", b" 9999")):
            sender.send(each)
            socket.send_fds(sender, [each or b"x"], [0, 1, 2])

    as_user(ENEMY, attack)
    assert as_user(ENEMY, lambda: validate_process(process.pid)) == "True"  # sent, and ignored
    other = kennel.start([needed("sleep"), "600"])
    assert validate_process(other.pid)  # datagrams keep their order: now those before were received
    wait_for(lambda: known.newest([processes.find(other.pid)]))
    assert known.newest([main]) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert as_user(OWNER, lambda: validate_process(process.pid)) == "True"
    assert wait_for(lambda: known.newest([main])) <= uptime()
    receiver.close()
    assert not path.exists()


def test_flooded_socket(kennel, monkeypatch):
    """The sender never waits, and the receiver reads at a bounded rate."""
    received = []
    path = kennel.home / "validation.socket"
    monkeypatch.setattr("watchdog.validation.receiver._MOST_DATAGRAMS", 5)
    receiver = Receiver(path, lambda message, _: received.append(message))
    begun = time.monotonic()
    sent = [validation.send("1-1", 1.0) for _ in range(2000)]
    assert len(received) <= 5 * (time.monotonic() - begun + 1) + 5
    assert sent.count(False) > 0
    receiver.close()


@root_only
def test_unsafe_place_for_the_socket(shared):
    with pytest.raises(PermissionError, match="other users may write"):
        Receiver(shared / "validation.socket", lambda *_: None)


def test_a_second_watchdog_does_not_take_the_socket(kennel):
    path = kennel.home / "validation.socket"
    first = Receiver(path, lambda *_: None)
    with pytest.raises(OSError, match="another watchdog listens on"):
        Receiver(path, lambda *_: None)
    first.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abandoned:
        abandoned.bind(str(path))
    Receiver(path, lambda *_: None).close()


@reliability(
    "Watchdog",
    fault="the directory of records is removed (rm -r, tmpfiles)",
    promise="it is made again at once, and who was validated lives a period longer",
)
def test_removed_directory(kennel, watching):
    place = kennel.home / "validated"
    process, limit = kennel.stand_in(), 6
    watch = watching(f"validated_within = {limit}\nrevalidated_every = {limit}\ngrace = 0.3")
    wait_for(place.is_dir)
    quiet = {**watch.environment, "WATCHDOG_SOCKET": ""}  # by its record alone
    subprocess.run([*WATCHDOG, "validate", str(process.pid)], check=True, env=quiet)
    removed = time.monotonic()
    shutil.rmtree(place)
    wait_for(place.is_dir)
    process.wait(60)
    assert time.monotonic() - removed > limit - 0.5


@reliability(
    "Watchdog",
    fault="two users validate before root's watchdog starts",
    promise="the directory that the first one makes takes both records",
)
@root_only
def test_two_users_before_the_watchdog(kennel, shared, monkeypatch):
    monkeypatch.setenv(directory.VARIABLE, str(shared / "validated"))
    program = shared / "firefox"
    shutil.copy(needed("sleep"), program)
    for user in (OWNER, ENEMY):
        process = kennel.start([program, "600"], user=user, group=user, extra_groups=[])
        assert as_user(user, lambda pid=process.pid: validate_process(pid)) == "True"
    tracker, validated = ValidationTracker(repair=True), []
    for process in kennel.started:
        browser = browser_of(process)
        tracker.update(browser, uptime())
        validated.append(browser.validated_at)
    assert None not in validated


def test_a_private_place_stays_private(kennel, monkeypatch):
    monkeypatch.setenv(directory.VARIABLE, str(kennel.home / "own"))
    (kennel.home / "own").mkdir(mode=0o700)
    (kennel.home / "own").rmdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    os.close(directory.open_to_write())
    assert (kennel.home / "own").stat().st_mode & 0o7777 == 0o700


@reliability(
    "Watchdog",
    fault="a record is lost, or the process that was validated has ended",
    promise="the newest validation ever seen of a browser counts",
)
def test_newest_validation_ever_seen(kennel):
    main = kennel.stand_in("import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)")
    table, browsers, tracker = (
        ProcessTable(),
        Browsers([Rule(command=str(kennel.home))]),
        ValidationTracker(repair=True),
    )

    def found():
        browsers.update(table, table.refresh(uptime()), uptime())
        browser = browsers.by_main.get(main.pid)
        return browser if browser and len(browser.members) > 1 else None

    browser = wait_for(found)
    child = next(pid for pid in browser.members if pid != main.pid)
    assert validate_process(child)
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: browser.drop_dead_members() or child not in browser.members)
    tracker.clean_up([browser])
    validated = browser.validated_at
    assert abs(validated - uptime()) < 60
    for record in directory.location().iterdir():
        record.unlink()
    tracker.update(browser, uptime())
    assert browser.validated_at == validated


def test_only_new_validations_are_saved(tmp_path):
    own, validations = processes.find(os.getpid()), Validations()
    assert validations.is_saved
    validations.note(own, 2.0)
    with pytest.raises(OSError, match="missing"):
        validations.save(tmp_path / "missing")
    assert not validations.is_saved
    validations.save(tmp_path)
    (tmp_path / "validations.json").unlink()
    for time_of_record in (2.0, 1.0):
        validations.note(own, time_of_record)
        validations.save(tmp_path)
    assert validations.is_saved
    assert not any(tmp_path.iterdir())
    validations.note(own, 3.0)
    assert not validations.is_saved
    validations.save(tmp_path)
    assert "3.0" in (tmp_path / "validations.json").read_text()


def test_validations_of_dead_processes_are_not_kept(tmp_path, kennel):
    process, validations = kennel.start([needed("sleep"), "600"]), Validations()
    validations.note(processes.find(process.pid), 2.0)
    validations.save(tmp_path)
    process.kill()
    process.wait()
    validations.forget_dead()
    assert not validations.is_saved
    validations.save(tmp_path)
    assert (tmp_path / "validations.json").read_text() == "{}"


def test_nothing_new_starts_no_thread(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("watchdog.validation.tracker.in_background", lambda work, _log: started.append(work))
    tracker = ValidationTracker(repair=True, state=tmp_path)
    tracker.check([], uptime())
    assert started == []


@reliability(
    "Watchdog",
    fault="`validated_within` is false or longer than `revalidated_every`",
    promise="a browser that was validated and then falls silent is killed in time",
)
@pytest.mark.parametrize("within", ["false", "600"])
def test_validated_once_and_then_silent(kennel, watching, within):
    process, never = kennel.stand_in(), kennel.stand_in()
    rule = f"validated_within = {within}\nrevalidated_every = 2\ngrace = 0.3"
    watch = watching(rule, "--poll-interval", "600", env={"WATCHDOG_SOCKET": ""})
    watch.said(f"process {process.pid} of")
    subprocess.run([*WATCHDOG, "validate", str(process.pid)], check=True, env=watch.environment)
    process.wait(120)  # less than the poll interval
    assert watch.kills()[0]["reason"] == "silent"
    assert never.poll() is None


@reliability(
    "Watchdog",
    fault="what removes old files from /tmp removes the only record of a browser that lives",
    promise="the watchdog makes records of living processes young",
)
def test_records_of_the_living_are_kept_young(kennel):
    process = kennel.stand_in()
    validate_process(process.pid)
    (record,) = directory.location().iterdir()
    changed = record.stat().st_ctime_ns
    time.sleep(0.05)  # more than the kernel's clock for files ticks
    tracker, browser = ValidationTracker(repair=True), browser_of(process)
    tracker.clean_up([browser])
    assert record.stat().st_ctime_ns > changed
    young = record.stat().st_ctime_ns
    tracker.clean_up([browser])
    assert record.stat().st_ctime_ns == young, "no more than once an hour"


@reliability(
    "Watchdog",
    fault="another user makes 100,000 files in the directory of records",
    promise="records are opened by their names; where those are taken too, nobody is killed",
)
@root_only
def test_crowded_directory(kennel, monkeypatch, caplog):
    monkeypatch.setattr(records, "_MOST_LISTED", 10)
    process = kennel.stand_in()
    tracker, browser = (
        ValidationTracker(repair=True),
        browser_of(process, Rule(validated_within=0.01, revalidated_every=0.01)),
    )
    validate_process(process.pid)
    for number in range(20):
        (directory.location() / f"{number}-{number}").touch()
    tracker.update(browser, uptime())
    assert abs(browser.validated_at - uptime()) < 60
    wait_for(lambda: uptime() > browser.validated_at + 0.05)
    tracker.update(browser, uptime())
    assert browser.excused_until > 0  # there could be a newer one under another name
    assert "it holds more than 10 files" in caplog.text


def test_a_planted_name_is_avoided_by_one_file(shared, monkeypatch, kennel):
    """However often it is validated; and found, even when the planted one is gone."""
    if os.geteuid() != 0:
        pytest.skip("missing: root (to act as a second user)")
    monkeypatch.setenv(directory.VARIABLE, str(shared / "validated"))
    ValidationTracker(repair=True).clean_up()
    program = shared / "firefox"
    shutil.copy(needed("sleep"), program)
    process = kennel.start([program, "600"], user=OWNER, group=OWNER, extra_groups=[])
    main = processes.find(process.pid)
    planted = Path(directory.location() / f"{main.pid}-{main.start}")
    as_user(ENEMY, planted.mkdir)
    as_user(OWNER, lambda: [validate_process(process.pid) for _ in range(5)])
    assert len(list(directory.location().iterdir())) == 2
    planted.rmdir()
    browser = browser_of(process, Rule(validated_within=0.01))
    ValidationTracker(repair=True).update(browser, uptime())
    assert abs(browser.validated_at - uptime()) < 60
