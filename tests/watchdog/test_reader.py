"""Arguments and configuration of `watchdog watch` are read by a process that ends, at the start and after SIGHUP."""

import secrets
import signal
from pathlib import Path

import pytest

from servermonitoring.scrubbing import FILTERED, scrub
from tests.reliability import reliability
from tests.watchdog.kennel import wait_for
from watchdog import processes
from watchdog.handover import HandoverError, WatchOptions, read
from watchdog.policy import DEFAULT
from watchdog.settings import load

HUNG = "validated_within = 1\ngrace = 0.3"
OPTIONS = WatchOptions(30.0, once=False, dry_run=True)
RULES = r"""
[state]
directory = "state"
[sentry]
dsn = "https://0123456789abcdef@127.0.0.1:1/1"
environment = "stage"
[watchdog.all]
process = 'fire.*|ü"'
command = '\d'
user = 0
automated_only = true
max_memory = "1.5GiB"
validated_within = false
revalidated_every = "90s"
grace = 0.25
[watchdog.other]
"""

WAIT = """
import os, time
def wait():
    while os.path.exists({hang!r}):
        open({begun!r}, "w").close()
        time.sleep(0.01)
"""
WAIT_AFTER_LOADING = """
import watchdog.settings
load = watchdog.settings.load
def load_and_wait(path):
    found = load(path)
    wait()
    return found
watchdog.settings.load = load_and_wait
"""


@pytest.fixture
def in_reader(tmp_path, monkeypatch):
    """Lets each reader run this code before anything else."""

    def run(code):
        directory = tmp_path / "modules"
        directory.mkdir(exist_ok=True)
        lines = "\n".join(f"    {line}" for line in code.splitlines())
        (directory / "sitecustomize.py").write_text(f"import sys\nif 'watchdog.reader' in sys.orig_argv:\n{lines}\n")
        monkeypatch.setenv("PYTHONPATH", str(directory))

    return run


@pytest.fixture
def arguments(tmp_path):
    """Of a watchdog with a rule."""
    path = tmp_path / "servermonitoring.toml"
    path.write_text("[watchdog.firefox]\ncommand = 'none'\n")
    return ["watch", "--config", str(path), "--dry-run"]


@pytest.mark.parametrize("text", ["", RULES, "[watchdog.firefox]\n", "[sentry]\ndsn = 3\n"])
def test_the_daemon_has_the_settings_of_the_file(tmp_path, text):
    path = tmp_path / "servermonitoring.toml"
    path.write_text(text)
    options, settings = read(["watch", "--config", str(path), "--dry-run"])
    assert options == OPTIONS
    assert settings == load(str(path))


def test_the_default_rule_stays_the_default(arguments):
    """The first start without a rule depends on it; a rule of the file that equals it is none."""
    path = Path(arguments[2])
    path.write_text("[watchdog.firefox]\n")
    assert read(arguments)[1].rules[0] is not DEFAULT
    path.write_text("")
    assert read(arguments)[1].rules[0] is DEFAULT


def test_secrets_of_the_configuration_are_scrubbed_by_the_daemon(tmp_path):
    secret, short = secrets.token_urlsafe(12), "zdogz"  # a short one is scrubbed as a whole word only
    path = tmp_path / "servermonitoring.toml"
    path.write_text(f"[login.a]\npassword = '{secret}'\n[login.b]\npassword = '{short}'\n[watchdog.firefox]\n")
    assert scrub(f"{secret} {short}") == f"{secret} {short}"
    read(["watch", "--config", str(path)])
    assert scrub(f"x{secret}x {short} hot{short}") == f"x{FILTERED}x {FILTERED} hot{short}"


def test_modules_in_the_working_directory_are_not_loaded(tmp_path, monkeypatch, arguments):
    """Root may start the watchdog in /tmp."""
    for name in ("argparse.py", "json.py", "watchdog.py"):
        (tmp_path / name).write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    assert read(arguments)[0] == OPTIONS


def test_arguments_are_refused_as_by_every_command(arguments, capfd):
    with pytest.raises(HandoverError) as caught:
        read([*arguments, "--poll-interval", "0"])
    assert (str(caught.value), caught.value.status) == ("", 2)
    assert "argument --poll-interval: must be more than 0" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os\nos.kill(os.getpid(), 9)", "the process that reads it was ended by signal 9"),
        ("import os\nos._exit(1)", "the process that reads it ended with status 1"),
        ("import servermonitoring\nservermonitoring.__version__ = '9'", "installed again meanwhile; restart"),
        ("import os\nos.write(int(sys.orig_argv[4]), b'[]')\nos._exit(0)", "installed again meanwhile; restart"),
    ],
)
def test_a_reader_that_fails(in_reader, arguments, code, error):
    in_reader(code)
    with pytest.raises(HandoverError, match=error) as caught:
        read(arguments)
    assert caught.value.status == 4


def test_a_reader_that_hangs_is_ended(in_reader, arguments):
    in_reader("import time\ntime.sleep(600)")
    with pytest.raises(HandoverError, match="it takes too long"):
        read(arguments, longest=0.1)
    wait_for(lambda: not readers(arguments[2]), what=lambda: "the end of the reader")


def test_a_reader_whose_watchdog_was_killed_ends_by_itself(in_reader, arguments):
    in_reader("import watchdog.handover, watchdog.settings, time\nwatchdog.handover.LONGEST_READ = 0\n"
              "watchdog.settings.load = lambda _: time.sleep(600)")  # fmt: skip
    with pytest.raises(HandoverError, match=f"ended by signal {int(signal.SIGALRM)}"):
        read(arguments)


def test_without_an_interpreter(monkeypatch, arguments):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(HandoverError, match=r"cannot be read: .*No such file"):
        read(arguments)


@reliability(
    "Watchdog",
    fault="SIGHUP, and the disk of the configuration hangs",
    promise="browsers are killed by the old rules meanwhile, and SIGTERM ends the watchdog",
)
def test_browsers_are_watched_while_the_configuration_is_read(kennel, watching, in_reader):
    hang, begun = kennel.home / "hang", kennel.home / "begun"
    in_reader(WAIT.format(hang=str(hang), begun=str(begun)) + "wait()")
    watch = watching(HUNG)
    watch.said("matches no process")
    hang.touch()
    watch.process.send_signal(signal.SIGHUP)
    wait_for(begun.exists)
    kennel.stand_in().wait(60)
    assert "reloaded the rules" not in watch.text()
    watch.process.terminate()
    assert watch.process.wait(60) == 0


def test_the_newest_configuration_counts(kennel, watching, in_reader):
    """SIGHUP comes while an older one is being read."""
    hang, begun = kennel.home / "hang", kennel.home / "begun"
    in_reader(WAIT.format(hang=str(hang), begun=str(begun)) + WAIT_AFTER_LOADING)
    watch = watching()
    watch.said("matches no process")
    hang.touch()
    watch.process.send_signal(signal.SIGHUP)
    wait_for(begun.exists)
    watch.write_rules(HUNG)
    watch.process.send_signal(signal.SIGHUP)
    browser = kennel.stand_in()
    watch.said("watching firefox")  # so the signal has been received
    assert len(readers(str(watch.config))) == 1
    hang.unlink()
    browser.wait(60)
    assert watch.text().count("reloaded the rules") == 2


def readers(configuration):
    """The pids of the readers of a configuration."""
    return [pid for pid in processes.pids() if {"watchdog.reader", configuration} <= {*processes.arguments(pid)}]
