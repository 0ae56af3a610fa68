"""Nothing holds the watchdog up: no reader of its log, no disk, no process whose memory nobody can read."""

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from functools import partial

import pytest

from servermonitoring import watchdog_state
from servermonitoring.watchdog_state import Kill, count_kills, heartbeat, kills, record_kill, user_name
from tests.reliability import reliability
from tests.watchdog.kennel import WATCHDOG, Watching, wait_for
from watchdog import processes
from watchdog.messages import LogStream

HUNG = "validated_within = 1\ngrace = 0.3"
KILL = Kill(100.0, "firefox", "memory", "m", 1, "firefox", 0, 5, 1.0, None, "c")
watchdog = partial(reliability, "Watchdog")


class Unread(Watching):
    """A watchdog whose stderr is a pipe, full from the start, that nobody empties."""

    def start(self):
        self.reading, writing = os.pipe()
        os.set_blocking(writing, False)
        while True:
            try:
                os.write(writing, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(writing, True)
        self.process = self.kennel.start(self.command, stderr=writing, env=self.environment)
        os.close(writing)
        return self

    def read(self):
        """All that was written until it has ended."""
        with os.fdopen(self.reading, "rb") as file:
            return file.read().lstrip(b"x").decode()


def ends(process):
    """SIGTERM ends it."""
    process.terminate()
    return process.wait(120)


@watchdog(fault="stderr is a pipe that nobody empties", promise="hung browsers die, and SIGTERM ends the watchdog")
def test_nobody_reads_its_log(kennel):
    hung = [kennel.stand_in() for _ in range(3)]
    watch = Unread(kennel, HUNG)
    for process in hung:
        process.wait(120)
    wait_for(lambda: len(watch.kills()) == 3)
    assert ends(watch.process) == 0
    os.close(watch.reading)


@watchdog(fault="stderr is read again after nobody did for long", promise="the log says how many lines are missing")
def test_lines_that_nobody_read_are_counted():
    """And goes on with the newest."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    stream = LogStream(writing)
    for number in range(3000):
        stream.emit(logging.LogRecord("watchdog", logging.INFO, "", 0, "line %d of %s", (number, "x" * 100), None))
    threading.Thread(target=lambda: (stream._lines.finish(60), os.close(writing)), daemon=True).start()
    with os.fdopen(reading) as file:
        lines = file.read().splitlines()
    dropped = [int(line.split()[0]) for line in lines if line.endswith("nobody read stderr in time")]
    assert sum(dropped) + len(lines) - len(dropped) == 3000
    assert sum(dropped) > 1000


@watchdog(fault="a command line holds line breaks and terminal codes", promise="it stands on one line of the log")
def test_command_lines_forge_no_lines(kennel, watching):
    forged = "2026-01-01 00:00:00,000 ERROR killed firefox, process 1 of root"
    kennel.stand_in("import time; time.sleep(600)", f"x\n{forged}\r{forged}\x1b[2J\u2028")
    watch = watching(HUNG)
    watch.said("has ended")
    lines = watch.text().split("\n")
    assert not [line for line in lines if line.startswith(forged)]
    (line,) = [line for line in lines if "command:" in line]
    assert rf"x\n{forged}\r{forged}\x1b[2J\u2028" in line
    assert forged in watch.kills()[0]["command"]


@watchdog(fault="kills.jsonl and watchdog.json are pipes", promise="nobody waits for their other end")
@pytest.mark.parametrize("name", ["kills.jsonl", "watchdog.json"])
@pytest.mark.parametrize("is_read", [False, True])
def test_state_is_a_pipe(kennel, watching, name, is_read):
    state = kennel.home / "state"
    state.mkdir(mode=0o700)
    os.mkfifo(state / name)
    reader = os.open(state / name, os.O_RDONLY | os.O_NONBLOCK) if is_read else None
    hung = kennel.stand_in()
    watch = watching(HUNG)
    assert hung.wait(60) in (0, -signal.SIGTERM)
    if name == "kills.jsonl":
        watch.said("the kill could not be written to .*: ")
    wait_for(lambda: heartbeat(watch.state))
    assert ends(watch.process) == 0
    if reader is not None:
        os.close(reader)


@watchdog(fault="the state directory is removed while the watchdog runs", promise="it is made again, with its lock")
def test_state_directory_is_removed(kennel, watching):
    watch = watching(HUNG)
    wait_for(lambda: heartbeat(watch.state))
    for path in watch.state.iterdir():
        path.unlink()
    watch.state.rmdir()
    hung = kennel.stand_in()
    hung.wait(60)
    assert watch.kills()[0]["pid"] == hung.pid
    watch.said("the state directory .* was removed: made again")
    assert watch.state.stat().st_mode & 0o777 == 0o700
    wait_for((watch.state / "watchdog.lock").exists)
    second = subprocess.run([*WATCHDOG, "watch", "--config", watch.config], check=False, timeout=60)
    assert second.returncode == 6


@watchdog(
    fault="the directory service (LDAP) that knows the names of users does not respond",
    promise="a message waits 1 s for a name, once for each user, and has the user's number",
)
def test_directory_service_does_not_respond(monkeypatch):
    over, asked = threading.Event(), []

    def find_name(uid):
        asked.append(uid)
        over.wait()

    monkeypatch.setattr("pwd.getpwuid", find_name)
    try:
        assert [user_name(4_000_000), user_name(4_000_000)] == ["user 4000000"] * 2
    finally:
        over.set()
    assert asked == [4_000_000]


@watchdog(fault="kills.jsonl grows for years", promise="it is bounded, and the newest kills are all read")
def test_kills_are_bounded(kennel, watching):
    state = kennel.home / "state"
    state.mkdir(mode=0o700)
    line = json.dumps({**KILL._asdict(), "time": 1.0}) + "\n"
    (state / "kills.jsonl").write_text(line * (watchdog_state.LARGEST_KILLS // len(line) + 1))
    hung = kennel.stand_in()
    watch = watching(HUNG)
    hung.wait(60)
    wait_for(lambda: [kill.pid for kill in kills(state, since=2.0)] == [hung.pid], what=watch.text)
    assert (state / "kills.jsonl").stat().st_size < watchdog_state.LARGEST_KILLS
    assert {path.name for path in state.glob("kills*")} == {"kills.jsonl", "kills.jsonl.1"}
    assert len(list(kills(state, since=0.0))) > 10_000
    assert count_kills(state)[KILL.rule, KILL.reason] > 10_000


def test_newest_kills_are_read_from_both_files(tmp_path):
    for name, time_ in (("kills.jsonl.1", 1.0), ("kills.jsonl", 2.0)):
        (tmp_path / name).write_text(json.dumps({**KILL._asdict(), "time": time_}) + "\n")
    record_kill(tmp_path, KILL)
    assert [kill.time for kill in kills(tmp_path)] == [1.0, 2.0, 100.0]
    size = (tmp_path / "kills.jsonl").stat().st_size
    assert [kill.time for kill in kills(tmp_path, most=size + 10)] == [2.0, 100.0]


@watchdog(
    fault="kills.jsonl becomes kills.jsonl.1 a second time",
    promise="the number of kills for Prometheus does not go back, also if the watchdog is killed in between",
)
def test_number_of_kills_never_goes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(watchdog_state, "LARGEST_KILLS", 5 * len(json.dumps(KILL._asdict())))
    for number in range(1, 30):
        record_kill(tmp_path, KILL._replace(reason="memory"))
        assert count_kills(tmp_path) == {(KILL.rule, "memory"): number}
    assert len(list(kills(tmp_path))) < 15
    (tmp_path / "kills.jsonl").replace(tmp_path / "kills.jsonl.1")  # and then it was killed
    assert count_kills(tmp_path) == {(KILL.rule, "memory"): 29}
    record_kill(tmp_path, KILL._replace(reason="silent"))
    assert count_kills(tmp_path) == {(KILL.rule, "memory"): 29, (KILL.rule, "silent"): 1}


@watchdog(
    fault="kills.jsonl becomes kills.jsonl.1 while the kills are counted for Prometheus",
    promise="no kill is counted twice",
)
def test_number_of_kills_while_the_file_is_renamed(tmp_path, monkeypatch):
    read = watchdog_state._end

    def read_then_rename(path, most):
        content = read(path, most)
        if path.name == "kills.jsonl":
            path.rename(tmp_path / "kills.jsonl.1")
        return content

    for _ in range(3):
        record_kill(tmp_path, KILL)
    monkeypatch.setattr(watchdog_state, "_end", read_then_rename)
    assert count_kills(tmp_path).total() == 3


@pytest.mark.parametrize("first", ["", "[]", '{"earlier": 3}', '{"earlier": [["firefox", 1]]}', "half a li"])
def test_number_of_kills_with_a_damaged_first_line(tmp_path, first):
    """The files before have what it would say."""
    line = json.dumps(KILL._replace(reason="memory")._asdict()) + "\n"
    (tmp_path / "kills.jsonl.1").write_text(f'{{"earlier": [["{KILL.rule}", "memory", 10]]}}\n{2 * line}')
    (tmp_path / "kills.jsonl").write_text(f"{first}\n{line}")
    assert count_kills(tmp_path) == {(KILL.rule, "memory"): 13}


@watchdog(fault="SIGHUP comes while the watchdog starts", promise="it lives, and reads the rules again when it can")
def test_sighup_at_any_moment(kennel, watching):
    """Once `main` has begun: at each module that is imported, and each file that is opened."""
    code = """
import os, signal, sys
from watchdog.cli import main
def send(event, _arguments):
    if event in ("import", "open") and not over:
        os.kill(os.getpid(), signal.SIGHUP)
    if event == "os.listdir":  # the first scan has begun
        over.append(event)
over = []
sys.addaudithook(send)
sys.exit(main(sys.argv[2:]))
"""
    watch = watching(start=[sys.executable, "-c", code])
    watch.said("reloaded the rules")
    assert watch.process.poll() is None
    hung = kennel.stand_in()
    watch.write_rules(HUNG)
    watch.process.send_signal(signal.SIGHUP)
    hung.wait(60)
    assert ends(watch.process) == 0


def test_configuration_becomes_a_pipe(kennel, watching):
    watch = watching(HUNG)
    watch.said("matches no process")
    watch.config.unlink()
    os.mkfifo(watch.config)
    watch.process.send_signal(signal.SIGHUP)
    watch.said("the old rules stay in force: .*\n.*is a named pipe")
    hung = kennel.stand_in()
    hung.wait(60)
    assert ends(watch.process) == 0


@watchdog(fault="the main thread hangs for good", promise="SIGTERM ends the watchdog all the same")
def test_sigterm_when_all_else_hangs(kennel):
    code = """
import os
from watchdog.daemon import Signals
signals = Signals()
signals.longest_end = 0.5
reading, _ = os.pipe()
print("ready", flush=True)
while True:
    os.read(reading, 1)
"""
    process = kennel.start([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGHUP)
    assert ends(process) == 1


# Blocks what reads one file of one process, as the kernel does while the disk of that process hangs.
HANGING = """
import os, sys, time
path, release = sys.argv[1:3]
opened = os.open
def hang(name, *arguments, **options):
    while name == path and not os.path.exists(release):
        time.sleep(0.05)
    return opened(name, *arguments, **options)
os.open = hang
from watchdog.cli import main
sys.exit(main(sys.argv[4:]))
"""


@watchdog(
    fault="a read about one process in /proc never returns (its disk hangs)",
    promise="all others are watched, SIGTERM ends the watchdog, and the process itself is watched when it responds",
)
@pytest.mark.parametrize("name", ["cmdline", "smaps_rollup"])
def test_a_process_that_does_not_respond(kennel, watching, name):
    stuck, *others = [kennel.stand_in() for _ in range(3)]
    release = kennel.home / "release"
    start = [sys.executable, "-c", HANGING, f"/proc/{stuck.pid}/{name}", release]
    watch = watching(
        f'{HUNG}\nmax_memory = "{"1MB" if name == "smaps_rollup" else "1GB"}"', "--poll-interval", "1", start=start
    )
    for process in others:
        process.wait(60)
    if name == "cmdline":
        assert stuck.poll() is None
        release.touch()
    stuck.wait(60)  # for its memory as far as that is known, or when it is known whose command line it is
    assert ends(watch.process) == 0


def test_sigterm_while_a_process_does_not_respond(kennel, watching):
    stuck = kennel.stand_in()
    start = [sys.executable, "-c", HANGING, f"/proc/{stuck.pid}/cmdline", kennel.home / "never"]
    watch = watching(HUNG, start=start)
    watch.said("rule firefox matches no process now")
    assert ends(watch.process) == 0


def test_reads_in_a_forked_process():
    """Threads that read for a program are not there in its children, such as Celery's workers."""
    assert processes.arguments(os.getpid())
    child = os.fork()
    if child == 0:
        os._exit(0 if processes.arguments(os.getpid()) else 1)
    assert os.waitpid(child, 0)[1] == 0
