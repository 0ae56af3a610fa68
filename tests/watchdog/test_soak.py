"""An hour in which everything goes wrong, by a clock that the test sets: 50 browsers work, and 50 hang."""

import os
import random
import re
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.reliability import reliability
from tests.watchdog import lockstep
from tests.watchdog.kennel import living, needed, wait_for
from watchdog.processes import uptime
from watchdog.validation import directory, validate_process

# Seconds by the test's clock.
HOUR = 3600
STEP = 2.5  # between two scans
LIMIT = 20.0  # within which and every which a browser is to be validated
LONGEST_FAULT = 30.0
PATIENCE = 120.0  # within which a browser that fell silent has to be dead, with one fault in between
BROWSERS = 50  # of either kind
STRANGER = 65534


class Disk:
    """The file system of the records, and what can happen to it. Every fault returns what ends it."""

    def __init__(self, path):
        self.path, self.records = path, path / "validated"

    def fill(self):
        fill = self.path / "fill"
        with suppress(OSError), fill.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        return fill.unlink

    def take_all_inodes(self):
        many = self.path / "many"
        with suppress(OSError):
            many.mkdir()
            for number in range(10_000):
                (many / str(number)).touch()
        return lambda: shutil.rmtree(many, ignore_errors=True)

    def empty(self):
        for record in self.records.iterdir():
            record.unlink()
        return lambda: None

    def remove(self):
        shutil.rmtree(self.records)
        return lambda: None

    def make_read_only(self):
        self._remount("ro")
        return lambda: self._remount("rw")

    def give_away(self):
        os.chown(self.records, STRANGER, STRANGER)
        self.records.chmod(0o777)
        return lambda: None

    def _remount(self, mode):
        subprocess.run(["mount", "-o", f"remount,{mode}", self.path], check=True)


class Watchdog:
    """The real one, in a process of its own that scans on request."""

    def __init__(self, kennel):
        self.kennel = kennel
        self.state = kennel.home / "state"
        self.state.mkdir(mode=0o700)
        self.start()

    def start(self):
        arguments = [re.escape(str(self.kennel.home)), str(LIMIT), self.state]
        with (self.kennel.home / "watchdog.log").open("ab") as log:
            self.process = self.kennel.start(
                [sys.executable, lockstep.__file__, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._send(uptime())
        self.ask(uptime())

    def ask(self, what):
        self._send(what)
        return int(self.process.stdout.readline())

    def scan(self):
        """One scan; where it kills, as many as that takes: processes end by the clock of the machine."""
        if self.ask("scan"):
            self.ask(uptime() + STEP / 4)  # past the grace
            wait_for(lambda: not self.ask("scan"))

    def restart(self):
        """Killed in the middle of a scan, or not, and started again."""
        self._send(uptime())
        self._send("scan")
        self.process.kill()
        self.process.wait(60)
        self.start()

    def _send(self, what):
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()


class Browser:
    """A main process with a child; it is validated every few seconds until it falls silent."""

    def __init__(self, kennel):
        program, child = kennel.home / "bin" / "firefox", kennel.home / "bin" / "child"
        command = '"$0" 3000 & echo $!; wait'
        self.process = kennel.start([program, "-c", command, child], stdout=subprocess.PIPE, text=True)
        self.pids = {self.process.pid, int(self.process.stdout.readline())}
        self.silent_from = float("inf")
        self.scans = 0  # since then
        self._next = 0.0

    def work(self, now, chance):
        if self._next <= now < self.silent_from:
            self._next = now + chance.uniform(1, LIMIT / 2)
            validate_process(self.process.pid)


class Hour:
    """One fault after another, each of them for a while; the watchdog is killed at any time."""

    def __init__(self, disk, watchdog, browsers, chance):
        self.disk, self.watchdog, self.browsers, self.chance = disk, watchdog, browsers, chance
        self.now = self.begin = uptime()
        self.history = []  # of faults: after how many seconds, and which
        self._faults, self._end = [], None
        self._change_at = self.now + 60
        self._stopped = False

    def step(self):
        self._pass(STEP)
        for browser in self.browsers:
            browser.work(self.now, self.chance)
        if self.now >= self._change_at:
            self._change()
        if self.chance.random() < 0.01:
            self.watchdog.restart()
        if not self._stopped:
            self.watchdog.scan()

    def _pass(self, seconds):
        self.now += seconds
        lockstep.set_clock(self.now)
        if not self._stopped:
            self.watchdog.ask(self.now)

    def _change(self):
        if self._end:
            self._end()
            self._end, self._change_at = None, self.now + self.chance.uniform(60, 90)
        else:
            fault = self._next()
            self.history.append((round(self.now - self.begin), fault.__name__))
            self._end, self._change_at = fault(), self.now + self.chance.uniform(STEP, LONGEST_FAULT)

    def _next(self):
        if not self._faults:
            disk = self.disk
            self._faults = [
                disk.fill, disk.take_all_inodes, disk.empty, disk.remove, disk.make_read_only, disk.give_away,
                self._pause_all, self._stop_watchdog,
            ]  # fmt: skip
            self.chance.shuffle(self._faults)
        return self._faults.pop()

    def _pause_all(self):
        self._pass(self.chance.uniform(10, 300))
        return lambda: None

    def _stop_watchdog(self):
        self._stopped = True

        def go_on():
            self._stopped = False
            self.watchdog.ask(self.now)

        return go_on


@pytest.fixture
def disk(tmp_path, monkeypatch):
    path = tmp_path / "disk"
    path.mkdir()
    options = "size=2m,nr_inodes=1000,mode=1777"
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=False).returncode:
        pytest.skip("missing: root (to mount a small file system)")
    monkeypatch.setenv(directory.VARIABLE, str(path / "validated"))
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def programs(kennel):
    (kennel.home / "bin").mkdir()
    for name, program in (("firefox", "dash"), ("child", "sleep")):
        (kennel.home / "bin" / name).symlink_to(needed(program))


@pytest.mark.usefixtures("programs", "own_clock")
@reliability(
    "Watchdog",
    fault="records cannot be written, are lost or fall into other hands, and the watchdog is killed, stopped, paused",
    promise="50 validated browsers live through an hour of that, and 50 hung ones die in time with all they started",
)
def test_an_hour_of_faults(kennel, disk):
    chance = random.Random(12)
    healthy, hung = ([Browser(kennel) for _ in range(BROWSERS)] for _ in range(2))
    begin = uptime()
    for browser in hung:
        browser.silent_from = chance.choice([0.0, *[begin + chance.uniform(30, HOUR - 2 * PATIENCE)] * 4])
    lockstep.set_clock(begin)
    for browser in (*healthy, *hung):
        browser.work(begin, chance)
    hour = Hour(disk, Watchdog(kennel), [*healthy, *hung], chance)
    while hour.now < begin + HOUR:
        hour.step()
        dead = [browser.pids for browser in healthy if browser.process.poll() is not None]
        assert dead == [], hour.history
        for browser in hung:
            browser.scans += browser.silent_from <= hour.now
            assert browser.process.poll() is not None or browser.scans * STEP <= PATIENCE, hour.history
    assert all(living(browser.pids) == browser.pids for browser in healthy)
    wait_for(lambda: not any(living(browser.pids) for browser in hung))
