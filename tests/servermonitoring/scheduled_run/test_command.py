"""The scheduled command: silent after a run that recorded its end; else it prints the fault and sends an alert."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from servermonitoring.scheduled_run.command import delay_of
from tests import ROOT
from tests.reliability import reliability
from tests.servers.server import until
from tests.suite import table

TCP = "healthchecks/test_tcp.py"
WRONG = "[run]\nwrong = 1\n"
NOBODY = table("tcp", "nobody", host="127.0.0.1", port=9)
ENDS = """
import os, signal
import pytest

@pytest.fixture
def harm():
    {line}

@pytest.mark.healthcheck
def test_mine(harm): pass
"""
PASSES = "import pytest\n\n\n@pytest.mark.healthcheck\ndef test_mine(): pass\n"


def test_a_failing_check_is_for_alerts_and_page(checkout):
    checkout.configure(NOBODY)
    assert checkout.run(TCP) == (0, "")
    assert checkout.statuses() == {"tcp_access[nobody]": "failed"}
    assert [each["label"] for each in checkout.alerts()] == ["tcp[nobody]"]


@reliability(
    "Scheduled runs",
    fault="a package of the environment cannot be imported, so that pytest ends with status 1",
    promise="cron's mail and an alert say so; the next run after the cause is gone is normal",
)
def test_broken_environment(checkout):
    checkout.configure(NOBODY)
    (checkout.folder / "broken").mkdir()
    (checkout.folder / "broken/pluggy.py").write_text("raise ImportError('libz.so.1: cannot open shared object file')")
    script = (checkout.folder / ".venv/bin/pytest").read_text().removeprefix("#!/bin/sh\n")
    checkout.pytest(f"export PYTHONPATH={checkout.folder}/broken\n{script}")
    status, mail = checkout.run(TCP)
    assert status == 1
    assert "ImportError: libz.so.1: cannot open shared object file" in mail
    assert "the run ended with exit status 1 before it recorded any result" in mail
    assert mail.endswith("alert: sent to the webhook\n")
    (message,) = checkout.run_alerts()
    assert message.endswith("any result: ImportError: libz.so.1: cannot open shared object file")
    checkout.pytest(script)
    assert checkout.run(TCP) == (0, "")
    assert list(checkout.state.glob("scheduled-*")) == []


@reliability(
    "Scheduled runs",
    fault="modules that start with the interpreter fail (sitecustomize, .pth files, $PYTHONHOME)",
    promise="the scheduled command itself works and sends an alert",
)
def test_a_broken_start_of_python_does_not_reach_the_command(checkout):
    checkout.environment |= {"PYTHONHOME": "/nonexistent", "PYTHONPATH": str(checkout.folder)}
    status, mail = checkout.run(TCP)
    assert status == 1
    assert "encodings" in mail
    assert len(checkout.run_alerts()) == 1


@reliability(
    "Scheduled runs", fault="the environment is gone", promise="the system's own Python reports it and sends an alert"
)
def test_no_environment(checkout):
    (checkout.folder / ".venv/bin/python").unlink()
    (checkout.folder / ".venv/bin/pytest").unlink()
    checkout.environment["PATH"] = f"{Path(sys.executable).resolve().parent}:{os.defpath}"
    status, mail = checkout.run(TCP)
    assert status == 127
    assert "the run could not be started" in mail
    assert ".venv/bin/pytest: No such file or directory" in mail
    assert len(checkout.run_alerts()) == 1


@reliability(
    "Scheduled runs",
    fault="the configuration is wrong, or not TOML",
    promise="cron's mail says what is wrong, and the channels that can still be read get an alert",
)
@pytest.mark.parametrize(
    ("toml", "wrong"),
    [(WRONG, '[run]: unknown key "wrong"'), ("[website.home", "is not TOML")],
    ids=["unknown key", "no TOML"],
)
def test_wrong_configuration(checkout, toml, wrong):
    checkout.configure(toml)
    status, mail = checkout.run(TCP)
    assert status == 4
    assert wrong in mail
    (alert,) = checkout.alerts()
    assert "exit status 4" in alert["message"]
    assert wrong in alert["data"]["output"]


def test_another_run_is_alive(checkout):
    checkout.configure(NOBODY)
    assert checkout.run(TCP)[0] == 0
    with (checkout.state / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, mail = checkout.run(TCP)
    assert status == 6
    assert "another run of the health checks is alive" in mail
    assert len(checkout.run_alerts()) == 1


@reliability(
    "Scheduled runs",
    fault="a fixture ends the whole process, with status 0 or by a signal",
    promise="the scheduled command reports it and sends an alert, whatever the exit status",
)
@pytest.mark.parametrize(
    ("line", "expected", "said"),
    [
        ("os._exit(0)", 1, "exit status 0 before it recorded any result"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "was killed by signal 9 (SIGKILL)"),
    ],
    ids=["exit", "kill"],
)
def test_a_run_that_ends_in_the_middle(checkout, line, expected, said):
    name = checkout.check(ENDS.format(line=line))
    status, mail = checkout.run(name)
    assert status == expected
    assert said in mail
    assert len(checkout.run_alerts()) == 1


def test_nothing_to_check_is_no_success(checkout):
    status, mail = checkout.run(TCP, "-k", "nothing")
    assert status == 5
    assert "before it recorded any result" in mail


@reliability(
    "Scheduled runs",
    fault="a run hangs",
    promise="it is stopped, with all processes of its group, and an alert says so",
)
def test_a_run_that_hangs(checkout):
    """While its files are collected: no timeout of the suite holds there."""
    pids = checkout.folder / "pids"
    name = checkout.check(
        "import os, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)\n" + PASSES
    )
    status, mail = checkout.run("--timeout", "5", name)
    assert status == 124
    assert "the run exceeded its timeout of 5 s and was stopped" in mail
    assert len(checkout.run_alerts()) == 1
    for pid in map(int, pids.read_text().split()):
        until(lambda pid=pid: is_dead(pid), 60)


def is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_ended_from_outside_the_run_records_what_it_has(checkout):
    """As systemd does when it stops the unit: one SIGINT and no alert, as the person who stops it knows."""
    started = checkout.folder / "started"
    name = checkout.check(
        PASSES.replace("pass", f"open({str(started)!r}, 'w').close(); time.sleep(600)").replace(
            "import pytest", "import time\nimport pytest"
        )
    )
    process = subprocess.Popen(
        checkout.words(name), env=checkout.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    until(started.exists, 60)
    process.terminate()
    mail, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the run was interrupted with exit status 2: not all checks were run" in mail
    assert (checkout.page / "index.html").exists()
    assert checkout.run_alerts() == []


@reliability(
    "Scheduled runs",
    fault="history and page cannot be written",
    promise="the run fails: cron's mail says what is not stored, and the run's own alerts are sent",
)
def test_a_run_that_cannot_record(checkout):
    checkout.configure(NOBODY, state="/proc/nowhere")
    checkout.page.write_text("no directory")
    status, mail = checkout.run(TCP)
    assert status == 1
    assert "the run finished but could not store, show or send all results: " in mail
    assert "state directory /proc/nowhere cannot be used" in mail
    assert "no page" in mail
    labels = {each["label"] for each in checkout.alerts()}
    assert {"tcp[nobody]", "suite[state]", "suite[page]"} <= labels
    checkout.page.unlink()
    checkout.configure(NOBODY)
    assert checkout.run(TCP) == (0, "")


@reliability(
    "Scheduled runs",
    fault="standard output and error of cron's job are closed or full",
    promise="the alert is sent nevertheless",
)
@pytest.mark.parametrize("redirect", [">&- 2>&- <&-", ">/dev/full 2>&1", "2>&- | true"])
def test_the_output_goes_nowhere(checkout, redirect):
    checkout.configure(WRONG)
    checkout.run(TCP, redirect=redirect)
    assert len(checkout.run_alerts()) == 1
    checkout.configure(NOBODY)
    checkout.run(TCP, redirect=redirect)
    assert checkout.statuses() == {"tcp_access[nobody]": "failed"}


@reliability(
    "Scheduled runs",
    fault="the working directory of the command is gone, so that pytest could not start",
    promise="the run is normal: the command changes to its own checkout first",
)
def test_deleted_working_directory(checkout, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    checkout.configure(NOBODY)
    words = f"rmdir {gone}; exec {' '.join(checkout.words(TCP))}"
    done = subprocess.run(
        ["sh", "-c", words], cwd=gone, env=checkout.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert checkout.statuses() == {"tcp_access[nobody]": "failed"}


def test_the_pipe_reaches_no_process_that_a_check_starts(checkout):
    """One that lives on would hold it open, or could write to it."""
    name = checkout.check(
        "import os, subprocess\nimport pytest\n\n\n@pytest.mark.healthcheck\ndef test_mine():\n"
        "    assert 'SERVERMONITORING_COMPLETION' not in os.environ\n"
        "    seen = subprocess.run(['ls', '-l', '/proc/self/fd'], capture_output=True, text=True).stdout\n"
        "    assert sum('pipe:' in line for line in seen.splitlines()) <= 3, seen\n"
    )
    assert checkout.run(name) == (0, "")
    assert list(checkout.statuses().values()) == ["ok"]


def test_hosts_begin_at_different_times_and_each_at_the_same_one():
    delays = [delay_of(f"web{number}.example.com", 30.0) for number in range(300)]
    assert delays == [delay_of(f"web{number}.example.com", 30.0) for number in range(300)]
    assert all(0 <= each < 30 for each in delays)
    assert len({int(each) for each in delays}) == 30  # at most a few in one second
    assert delay_of("web1", 0.0) == 0


DELAYED = """
import socket, sys, time
sys.path.insert(0, sys.argv[1])
from servermonitoring.scheduled_run.command import main
socket.gethostname = lambda: "web1.example.com"
time.sleep = lambda seconds: print("waits", round(seconds, 3), flush=True)
sys.exit(main(sys.argv[2:], "/nonexistent"))
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--delay", "30"], f"waits {delay_of('web1.example.com', 30):.3f}".rstrip("0")),
        ([], "waits 0.0"),
        (["--delay", "-1"], "-1 is no delay: write seconds from 0 to 3600"),
        (["--delay", "soon"], "soon is no delay: write seconds from 0 to 3600"),
        (["--delay", "nan"], "nan is no delay: write seconds from 0 to 3600"),
    ],
)
def test_only_a_run_with_the_option_waits(tmp_path, options, words):
    """A run by hand has none."""
    command = [sys.executable, "-I", "-c", DELAYED, str(ROOT), *options, TCP]
    environment = {"HOME": str(tmp_path), "SERVERMONITORING_CONFIG": str(tmp_path / "none.toml")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert words in done.stdout.splitlines()[:1] or words in done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["crontab", "systemd/servermonitoring.timer", "systemd/servermonitoring-reports.timer"]
)
def test_what_starts_runs_on_many_hosts_has_a_delay(name):
    """In a crontab by the command, in a timer by systemd, where it stays the same for a host, too."""
    text = (ROOT / "deploy" / name).read_text()
    if name == "crontab":
        assert text.count("scheduled --user servermonitoring --delay ") == 2
        assert "--delay" not in "".join(each.read_text() for each in (ROOT / "deploy/systemd").iterdir())
    else:
        assert "RandomizedDelaySec=" in text
        assert "FixedRandomDelay=true" in text
