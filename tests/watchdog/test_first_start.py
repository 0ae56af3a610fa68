"""The first `watchdog watch` on a machine, by somebody who only wants to see what it does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servermonitoring.configuration import ConfigurationError
from servermonitoring.watchdog_state import Heartbeat, write_heartbeat
from tests.reliability import reliability
from tests.watchdog.kennel import WATCHDOG, needed, wait_for
from watchdog.policy import DEFAULT, Rule
from watchdog.processes import uptime
from watchdog.settings import load
from watchdog.watcher import FirstStart, Watcher, begin_first_start

# The default rule means every Firefox, so it is tried where there is no other.
ALONE = ["unshare", "-p", "-f", "--mount-proc", "--kill-child"]


@reliability(
    "Watchdog",
    fault="the watchdog is started for the first time, without rules, where Firefoxes run that nobody validates",
    promise="it says which ones it will kill, and kills none for 3 minutes",
)
def test_it_says_what_it_will_kill(kennel):
    if subprocess.run([needed("unshare"), *ALONE[1:], "true"], check=False, capture_output=True).returncode:
        pytest.skip("missing: namespaces (unshare -p)")
    if Path("/etc/servermonitoring.toml").exists():
        pytest.skip("missing: a machine without /etc/servermonitoring.toml")
    browser = kennel.home / "firefox"
    browser.symlink_to(os.path.realpath(sys.executable))
    log = kennel.home / "log"
    script = '"$1" -c "import time; time.sleep(600)" & shift; exec "$@"'
    with log.open("wb") as stderr:
        kennel.start([*ALONE, "sh", "-c", script, "sh", browser, *WATCHDOG, "watch"], cwd=kennel.home, stderr=stderr)
    said = wait_for(lambda: "will be killed in" in log.read_text() and log.read_text())
    assert "first start without a rule in the configuration: nothing is killed for 3 min, then every Firefox" in said
    assert "will be killed in 3 min: never validated" in said


def test_nothing_is_killed_before_the_end(kennel, caplog):
    browser = kennel.stand_in()
    watcher = Watcher([Rule(command=str(kennel.home), validated_within=0.01, grace=0)], None)
    watcher.first_start = FirstStart(uptime() + 3600)
    watcher.scan()
    assert watcher.terminations == []
    assert f"firefox, process {browser.pid} of" in caplog.text
    assert watcher.pause(30) == 30
    watcher.first_start = FirstStart(uptime() + 0.5)
    assert watcher.pause(30) <= 0.5
    time.sleep(0.5)
    watcher.scan()
    watcher.finish()
    browser.wait(60)


def test_when_there_is_one(tmp_path):
    assert begin_first_start([DEFAULT], tmp_path).seconds_left(uptime()) > 100
    assert begin_first_start([Rule()], tmp_path).seconds_left(uptime()) == 0  # somebody wrote it
    write_heartbeat(tmp_path, Heartbeat(1, 1.0, 30.0, 1.0))
    assert begin_first_start([DEFAULT], tmp_path).seconds_left(uptime()) == 0


@reliability(
    "Watchdog",
    fault="rules are meant, but their table is misspelt, or another table of the file is wrong",
    promise="the watchdog does not start with the default rule, and says what is wrong",
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[watchdgo.chromium]\n", '[watchdgo]: unknown table; did you mean "watchdog"?'),
        ('[website.home]\nurl = "${NO_SUCH_VARIABLE}"\n', "NO_SUCH_VARIABLE"),
    ],
)
def test_no_default_rule_by_mistake(tmp_path, text, message):
    path = tmp_path / "servermonitoring.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(str(path))
    assert message in str(caught.value)
    path.write_text("[watchdog.firefox]\n" + text)
    assert load(str(path)).rules == [Rule()]
