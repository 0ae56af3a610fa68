"""Validations are missing because nobody ran, or because they were lost: no browser is to blame."""

import os
import signal
import time

import pytest

from tests.reliability import reliability
from tests.watchdog import lockstep
from tests.watchdog.kennel import records, wait_for
from watchdog import processes
from watchdog.policy import Rule
from watchdog.processes import uptime
from watchdog.validation import validate_process
from watchdog.validation.tracker import Interruptions
from watchdog.watcher import Watcher

NOW = 1000.0


def after(steps, *, start=NOW):
    """What is excused at the end of checks so many seconds after each other, and when that is."""
    interruptions, now, excused = Interruptions(start), start, 0.0
    for step in steps:
        now += step
        excused = interruptions.notice(now)
    return excused, now


def stopped(pid):
    process = processes.find(pid)
    return process is not None and process.state == "T"


@reliability(
    "Watchdog",
    fault="watchdog and browser are stopped together and continued (docker pause, a paused VM, SIGSTOP)",
    promise="the browser has its whole time to be validated again",
)
def test_stopped_and_continued_together(kennel, watching):
    watch = watching("validated_within = 6\nrevalidated_every = 6\ngrace = 0")
    watch.said("matches no process")
    browser = kennel.stand_in()
    validate_process(browser.pid)
    watch.said("watching firefox")
    validate_process(browser.pid)
    for process in (watch.process, browser):
        process.send_signal(signal.SIGSTOP)
    wait_for(lambda: stopped(watch.process.pid) and stopped(browser.pid))
    time.sleep(8)
    for process in (browser, watch.process):
        process.send_signal(signal.SIGCONT)
    watch.said("did not run for .*: the time limits count from now on")
    assert browser.wait(60) == -signal.SIGTERM  # hung, and killed, but not before its time
    (kill,) = watch.kills()
    assert kill["validated"] >= 8 + 6


def test_undisturbed():
    assert after([1.0] * 1000)[0] == 0


def test_every_single_interruption_excuses_wholly():
    """However many there are in a day, if there is work between them."""
    for _ in range(3):
        excused, now = after([*([1.0] * 200), 3600.0] * 50)
        assert excused == now


@reliability(
    "Watchdog",
    fault="the machine is so busy that the watchdog is late all the time",
    promise="hung browsers end all the same",
)
def test_late_all_the_time():
    excused, now = after([5.0] * 10)
    assert excused == now
    excused, now = after([5.0, 1.0] * 600)
    assert now - excused > 180


def test_repeated_pauses_with_little_work_between_are_no_silence():
    """A minute paused, ten seconds of work: only the work counts."""
    excused, now = after([60.0, *([1.0] * 10)] * 20)
    assert now - excused <= 20 * 10


def test_its_own_work_excuses_nobody():
    interruptions, begun = Interruptions(NOW), time.process_time()
    while time.process_time() - begun < 0.5:
        os.getpid()
    computed = time.process_time() - begun
    assert interruptions.notice(NOW + computed + 2.9) == 0


@reliability(
    "Watchdog",
    fault="all records are removed (`rm *`, a cleaner of /tmp) before the watchdog has read the newest ones",
    promise="it notices, and browsers have their whole time to be validated again",
)
@pytest.mark.usefixtures("own_clock")
def test_records_removed_before_they_were_read(kennel, caplog):
    browser = kennel.stand_in()
    watch = Watcher([Rule(command=str(kennel.home), validated_within=60, grace=0)], None)
    now = scan_for(watch, uptime(), 58)
    assert validate_process(browser.pid)
    for record in records(kennel.home).iterdir():
        record.unlink()
    now = scan_for(watch, now, 58)
    assert "records were removed" in caplog.text
    assert "killed firefox" not in caplog.text
    scan_for(watch, now, 6)  # still not validated: now it counts
    assert "killed firefox" in caplog.text


def scan_for(watch, now, seconds):
    """Scan every two seconds by the clock of the test; return the time then."""
    for _ in range(seconds // 2):
        now += 2
        lockstep.set_clock(now)
        watch.scan()
    return now
