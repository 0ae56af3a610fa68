"""`watchdog watch` through its life: start, signals, restart, a full disk, a second one, systemd."""

import itertools
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import time
from contextlib import suppress

import psutil

from servermonitoring.watchdog_state import Kill, heartbeat, kills
from tests import ROOT
from tests.reliability import reliability
from tests.watchdog.kennel import WATCHDOG, wait_for
from watchdog import processes

HUNG = "validated_within = 1\ngrace = 0.3"


def test_what_it_says_at_the_start(kennel, watching):
    """The rules in force, what is watched now, and what matches nothing."""
    process = kennel.stand_in()
    watch = watching(firefox="", chromium='process = "chromium"')
    watch.said(f"rules from {watch.config}")
    limits = "maximum memory 1.2 GB, validation within 3 min of the start, then every 3 min, grace 2 s"
    watch.said(f"rule firefox: process firefox; {limits}")
    watch.said(rf"watching firefox, process {process.pid} of \w+ \(rule firefox\): .* not validated")
    watch.said("rule chromium matches no process now")


def test_heartbeat(watching):
    watch = watching("", "--poll-interval", "5")
    beat = wait_for(lambda: heartbeat(watch.state))
    assert (beat.pid, beat.poll_interval) == (watch.process.pid, 15)
    assert abs(beat.time - time.time()) < 60
    assert abs(beat.started - time.time()) < 60
    assert (watch.state / "watchdog.json").stat().st_mode & 0o777 == 0o600


def test_heartbeat_with_browsers(kennel, watching):
    """How many there are, and the heaviest with the limit of its rule."""
    heavy = kennel.stand_in("import time; kept = bytes(range(256)) * 400_000; time.sleep(600)")
    wait_for(lambda: psutil.Process(heavy.pid).memory_info().rss > 100_000_000)
    kennel.stand_in()
    watch = watching("max_memory = '1GB'")
    beat = wait_for(lambda: heartbeat(watch.state))
    assert (beat.browsers, beat.heaviest_limit) == (2, 1_000_000_000)
    assert 100_000_000 < beat.heaviest < 200_000_000


def test_sigterm_ends_it_cleanly_and_finishes_what_it_began(kennel, watching):
    deaf = kennel.stand_in("import signal, time; signal.signal(15, 1); time.sleep(600)")
    watch = watching("validated_within = 1\ngrace = 1.5")
    watch.said("killed firefox")
    watch.process.terminate()
    assert watch.process.wait(60) == 0
    assert deaf.wait(60) == -signal.SIGKILL
    assert watch.text().rstrip().endswith("stopped")


@reliability(
    "Watchdog",
    fault="new rules are wrong, or the configuration file is a pipe",
    promise="the old rules stay in force, and the log says why",
)
def test_sighup_reads_good_rules_and_keeps_the_old_for_bad_ones(kennel, watching):
    process = kennel.stand_in()
    watch = watching()
    watch.said("watching firefox")
    watch.config.write_text('[watchdog.firefox]\nvalidated_within = "soon"\n')
    watch.process.send_signal(signal.SIGHUP)
    watch.said("the old rules stay in force.*\n.*'soon' is not a duration")
    watch.config.unlink()
    os.mkfifo(watch.config)
    watch.process.send_signal(signal.SIGHUP)
    watch.said("the old rules stay in force.*\n.*is a named pipe, not a file")
    assert process.poll() is None
    watch.config.unlink()
    watch.write_rules(HUNG)
    watch.process.send_signal(signal.SIGHUP)
    watch.said("reloaded the rules")
    process.wait(60)
    assert watch.kills()[0]["pid"] == process.pid


def test_killed_and_started_again_it_knows_what_was_validated(kennel, watching):
    process = kennel.stand_in()
    started = time.monotonic()
    subprocess.run([*WATCHDOG, "validate", str(process.pid)], check=True)
    watch = watching("validated_within = 6\nrevalidated_every = 12")
    watch.said("watching firefox")
    watch.process.kill()
    watch.process.wait()
    watch.start()
    time.sleep(max(0, 7 - (time.monotonic() - started)))  # unvalidated it would be dead now
    assert process.poll() is None
    process.wait(60)
    assert [kill["reason"] for kill in watch.kills()] == ["silent"]


def test_full_disk_for_its_state(kennel, watching, tiny_disk):
    """It goes on killing, and says what could not be recorded."""
    (kennel.home / "state").symlink_to(tiny_disk)
    with suppress(OSError), (tiny_disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    process = kennel.stand_in()
    watch = watching(HUNG)
    process.wait(60)
    watch.said("killed firefox")
    watch.said("could not be written|cannot be recorded")
    assert watch.process.poll() is None


def test_a_second_one_says_so(watching):
    watch = watching()
    watch.said("matches no process")
    second = subprocess.run(
        [*WATCHDOG, "watch", "--config", watch.config],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 6
    assert f"another watchdog with the state in {watch.state} is alive: pid {watch.process.pid}, for " in second.stderr


def test_wrong_configuration(kennel):
    config = kennel.home / "wrong.toml"
    config.write_text('[watchdog.firefox]\nmax_memory = "1QB"\nproces = "x"\n')
    for command in (["watch", "--config", config, "--once"], ["status", "--config", config]):
        done = subprocess.run([*WATCHDOG, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 4
        assert f"configuration {config} is wrong" in done.stderr
        assert "'1QB' is not a size" in done.stderr
        assert 'did you mean "process"?' in done.stderr


def test_systemd_is_notified(kennel, watching):
    address = kennel.home / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(address))
        server.settimeout(60)
        watch = watching(env={"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "500000"})
        received = [server.recv(100) for _ in range(4)]
        assert b"READY=1" in received[:2]
        assert received[3] == b"WATCHDOG=1"
        beats = [(server.recv(100), time.monotonic())[1] for _ in range(12)]
        usual = statistics.median(after - before for before, after in itertools.pairwise(beats))
        assert usual < 0.5, "systemd would end it"
        watch.process.send_signal(signal.SIGHUP)
        while not server.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC="):
            pass
        watch.process.terminate()
        while server.recv(100) != b"STOPPING=1":
            pass


def test_small_and_not_growing(kennel, watching):
    """At most 20 MB, after hundreds of scans of a browser too."""
    kennel.stand_in()
    watch = watching("", "--poll-interval", "0.005")
    watch.said("watching")
    time.sleep(1)
    before, _ = processes.resident(watch.process.pid)
    time.sleep(4)
    after, _ = processes.resident(watch.process.pid)
    assert after < 20e6
    assert after - before < 0.3e6


def test_no_client_library_is_imported():
    code = (
        "import sys, watchdog.cli, watchdog.daemon, watchdog.watcher, watchdog.status, watchdog.leftovers, "
        "watchdog.validation, watchdog.selenium; "
        "print({name.partition('.')[0] for name in sys.modules} & "
        "{'selenium', 'sentry_sdk', 'psutil', 'pytest', 'requests', 'healthchecks', 'pydantic'})"
    )
    done = subprocess.run([os.sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_status_for_people_and_programs(kennel, watching):
    process = kennel.stand_in()
    watch = watching('validated_within = "10m"')
    watch.said("watching")
    wait_for(lambda: heartbeat(watch.state))
    done = subprocess.run([*WATCHDOG, "status", "--config", watch.config], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    first, head, row = done.stdout.splitlines()
    assert first.startswith(f"The watchdog runs (process {watch.process.pid}, last heartbeat")
    assert head.split()[:5] == ["PID", "NAME", "USER", "RULE", "MEMORY"]
    assert row.split()[0] == str(process.pid)
    assert "never" in row
    assert "to be killed in " in row
    watch.process.kill()
    watch.process.wait()
    done = subprocess.run(
        [*WATCHDOG, "status", "--json", "--config", watch.config], capture_output=True, text=True, check=False
    )
    (browser,) = json.loads(done.stdout)["browsers"]
    assert browser["pid"] == process.pid
    assert 480 < browser["due_in"] < 600


def test_status_for_the_first_time(kennel):
    config = kennel.home / "none.toml"
    config.write_text(f'[state]\ndirectory = "{kennel.home}/state"\n[watchdog.none]\nprocess = "no-such-browser"\n')
    done = subprocess.run([*WATCHDOG, "status", "--config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == (
        "No watchdog was ever started here: `watchdog watch` starts one.\n"
        "No browser that runs matches a rule: none (no-such-browser).\n"
    )
    assert not (kennel.home / "state").exists()


def test_kills_are_read_past_rubbish(tmp_path):
    kill = Kill(100.0, "r", "memory", "m", 1, "firefox", 0, 5, 1.0, None, "c")
    lines = [json.dumps({**kill._asdict(), "time": time}) for time in (100.0, 200.0)]
    rubbish = ["", "{", "[]", "null", "{}", json.dumps({**kill._asdict(), "pid": "x"}), "x" * 200_000]
    (tmp_path / "kills.jsonl").write_text("\n".join([lines[0], *rubbish, lines[1], '{"time": 3']))
    assert [each.time for each in kills(tmp_path, 0)] == [100, 200]
    assert [each.time for each in kills(tmp_path, 150)] == [200]
    assert [each.time for each in kills(tmp_path, 0, 150)] == [100]
    assert list(kills(tmp_path / "none", 0)) == []
    (tmp_path / "watchdog.json").write_text("{")
    assert heartbeat(tmp_path) is None


# Lines that start a watchdog without --config, and why that harms nobody.
CONFINED = {
    "tests/test_imports.py: code =": "a variable names the configuration",
    "tests/watchdog/test_first_start.py: kennel.start([*ALONE": "it has a pid namespace of its own",
    "tests/watchdog/test_daemon.py: if re.search": "this test",
}


def test_no_test_watches_the_browsers_of_others():
    """Each watchdog of the tests and benchmarks has rules of its own, or a pid namespace."""
    programs = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("ci/**/*.py")]
    starts = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in programs
        for line in path.read_text().splitlines()
        if re.search(r"""["']watch["']""", line) and "--config" not in line
    ]
    assert [each for each in starts if not each.startswith((*CONFINED,))] == []
