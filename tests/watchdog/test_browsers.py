"""A browser ends wholly: what its main process left, what it forked meanwhile, and whatever happens to the watchdog."""

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import CHROMIUM_OPTIONS, living, needed, process_tree, signal_all, wait_for
from watchdog import browsers, processes
from watchdog.policy import Rule, is_part
from watchdog.process_table import ForkListener
from watchdog.processes import uptime
from watchdog.validation import directory, validate_process
from watchdog.watcher import Watcher

DEAF = "import signal, time; signal.signal(15, 1); time.sleep(600)"
# Starts what its further arguments say, and waits until this test says that it may end.
PARENT = """
import os, subprocess, sys, time
go, *arguments = sys.argv[1:-1]
subprocess.Popen([*arguments, sys.argv[-1]])
while not os.path.exists(go):
    time.sleep(0.01)
"""
# On SIGTERM it has three children more, and goes on.
FORKING_ON_SIGTERM = """
import os, signal, sys, time
def fork(*_):
    for _ in range(3):
        if os.fork() == 0:
            signal.signal(15, signal.SIG_IGN)
            time.sleep(600)
    open(sys.argv[1], "w")
signal.signal(15, fork)
while True:
    time.sleep(600)
"""


@pytest.fixture
def watch(kennel):
    """A watchdog in this process, whose scans are the test's own."""

    def make(**limits):
        limits = {"validated_within": None, "revalidated_every": None, "max_memory": None, "grace": 0.2, **limits}
        return Watcher([Rule(command=str(kennel.home), **limits)], None)

    return make


@pytest.fixture
def at_once(monkeypatch):
    """What a browser left has little time, and no main process is a launcher."""
    monkeypatch.setattr(browsers, "_ORPHAN_GRACE", 0.3)
    monkeypatch.setattr(browsers, "_LAUNCHER", 0.0)


def scan_until(watch, condition):
    wait_for(lambda: watch.scan() or condition())


def named(kennel, name="tool"):
    """A program of another name, which does what its first argument says in Python."""
    program = kennel.home / "bin" / name
    program.parent.mkdir(exist_ok=True)
    if not program.exists():
        program.symlink_to(os.path.realpath(sys.executable))
    return program


def parent_of(kennel, watch, *arguments):
    """A browser with one child that is known to the watchdog, and the child's pid."""
    process = kennel.stand_in(PARENT, kennel.home / "go", *arguments)
    (child,) = wait_for(lambda: process_tree(process.pid) - {process.pid})
    wait_for(lambda: processes.arguments(child)[:1] == [str(arguments[0])])
    watch.scan()
    assert set(watch.browsers.by_main[process.pid].members) == {process.pid, child}
    return process, child


def marked(kennel):
    """All living processes that name this test's directory."""
    there = [pid for pid in processes.pids() if str(kennel.home) in " ".join(processes.arguments(pid))]
    return living(there) - {os.getpid()}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("stopped", [False, True])
@reliability(
    "Watchdog", fault="somebody else kills the main process", promise="what it leaves is killed, stopped or not"
)
def test_orphans_of_a_dead_main_process_die(kennel, watch, caplog, stopped):
    watcher = watch()
    process, child = parent_of(kennel, watcher, named(kennel), "-ISc", DEAF)
    if stopped:
        os.kill(child, signal.SIGSTOP)
    process.kill()
    scan_until(watcher, lambda: not living([child]))
    assert f"process {process.pid}, ended but left processes running: process {child} (tool)" in caplog.text
    watcher.finish()
    assert watcher.browsers.by_main == {}
    assert watcher.pause(30) == 30


@pytest.mark.usefixtures("at_once")
def test_what_a_browser_leaves_that_may_not_be_ended(kennel, watch, monkeypatch):
    """That of another user, for a watchdog that is not root."""
    monkeypatch.setattr("watchdog.watcher.may_kill", lambda _: False)
    watcher = watch()
    process, child = parent_of(kennel, watcher, named(kennel), "-ISc", DEAF)
    process.kill()
    scan_until(watcher, lambda: watcher.browsers.orphans)
    scan_until(watcher, lambda: not watcher.browsers.orphans)
    assert watcher.terminations == []
    assert living([child])


@pytest.mark.usefixtures("at_once")
@reliability("Watchdog", fault="tabs outlive their browser", promise="they are killed, and taken for no browser")
def test_a_content_process_is_no_browser_of_its_own(kennel, watch):
    watcher = watch()
    process, child = parent_of(kennel, watcher, named(kennel, "firefox"), "-ISc", DEAF, "-contentproc")
    process.kill()
    scan_until(watcher, lambda: not living([child]))


@reliability("Watchdog", fault="a browser is closed", promise="what ends by itself after it is not killed")
def test_what_ends_by_itself_after_its_browser(kennel, watch, monkeypatch, caplog):
    monkeypatch.setattr(browsers, "_LAUNCHER", 0.0)
    monkeypatch.setattr(browsers, "_ORPHAN_GRACE", 60.0)
    watcher = watch()
    wait = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    process, child = parent_of(kennel, watcher, named(kennel), "-ISc", wait, kennel.home / "leave")
    process.kill()
    scan_until(watcher, lambda: watcher.browsers.orphans)
    assert watcher.pause(1000) <= 60
    (kennel.home / "leave").touch()
    scan_until(watcher, lambda: not watcher.browsers.orphans)
    assert not living([child])
    assert watcher.terminations == []
    assert "killed" not in caplog.text


@pytest.mark.usefixtures("at_once")
@reliability(
    "Watchdog", fault="a browser restarts itself in place", promise="its successor is watched, and still validated"
)
def test_a_successor_is_watched(kennel, watch):
    watcher = watch()
    process, child = parent_of(kennel, watcher, named(kennel, "firefox"), "-ISc", "import time; time.sleep(600)")
    assert validate_process(process.pid)  # the watchdog has not read it yet
    (kennel.home / "go").touch()
    process.wait(60)
    scan_until(watcher, lambda: child in watcher.browsers.by_main)
    assert watcher.browsers.by_main[child].validated_at == pytest.approx(uptime(), abs=60)
    assert watcher.browsers.orphans == []


@reliability(
    "Watchdog",
    fault="a launcher starts the browser and ends",
    promise="the browser is watched, and not killed as a rest",
)
def test_what_a_launcher_started_is_the_browser(kennel, watch):
    watcher = watch()
    process, child = parent_of(kennel, watcher, named(kennel), "-ISc", "import time; time.sleep(600)")
    (kennel.home / "go").touch()
    process.wait(60)
    scan_until(watcher, lambda: child in watcher.browsers.by_main)
    assert watcher.browsers.orphans == []


@pytest.mark.parametrize(
    "change",
    [
        "open('/proc/self/comm', 'w').write('tool'); time.sleep(600)",
        "os.execv(sys.argv[1], [sys.argv[1], '-ISc', 'import time; time.sleep(600)'])",
    ],
)
@reliability("Watchdog", fault="a browser renames itself, or executes another program", promise="it is still watched")
def test_one_that_changes_its_name_is_still_watched(kennel, watching, change):
    """It has the pid and the start of a browser, and its driver waits for it."""
    code = f"import os, sys, time; sys.stdin.readline(); {change}"
    process = kennel.stand_in(code, named(kennel), stdin=subprocess.PIPE)
    watch = watching("validated_within = 5\ngrace = 0.3")
    watch.said("watching firefox")
    process.stdin.write(b"\n")
    process.stdin.close()
    wait_for(lambda: processes.find(process.pid).name == "tool")
    assert process.wait(60) == -signal.SIGTERM
    assert watch.kills()[0]["pid"] == process.pid


# On SIGTERM four processes begin to have children, one every few milliseconds.
FORKERS = """
import os, signal, time
begun = []
signal.signal(signal.SIGTERM, lambda *_: begun.append(os.killpg(0, signal.SIGUSR1)))
signal.signal(signal.SIGUSR1, lambda *_: begun.append(1))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.setpgid(0, 0)
os.fork(), os.fork()
while not begun:
    time.sleep(0.01)
for _ in range(150):
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(0.003)
time.sleep(600)
"""
# In a session of its own each generation has one child, and ends.
CHAIN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    os.wait()
    time.sleep(600)
os.setsid()
time.sleep(2)  # the watchdog sees it
until = time.monotonic() + 100
while time.monotonic() < until and os.fork() == 0:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("code", [FORKERS, CHAIN])
@reliability("Watchdog", fault="a hung browser forks on while it is killed", promise="nothing of it is left")
def test_one_that_forks_while_it_is_killed(kennel, watching, code):
    watch = watching("validated_within = 4\ngrace = 0.1")
    watch.said("matches no process")
    process = kennel.stand_in(code)
    watch.said(f"process {process.pid} has ended")
    assert marked(kennel) <= {watch.process.pid}
    assert [kill["pid"] for kill in watch.kills()] == [process.pid]


def receives_forks():
    forks = ForkListener()
    forks.listen()
    child = subprocess.Popen([needed("true")])
    child.wait()
    forks.update()
    line = forks.ancestors(child.pid)
    forks.close()
    return line[:1] == [os.getpid()]


# On SIGTERM it starts a daemon, and ends: nothing in /proc connects the two.
DAEMON = """
import os, signal, time
def fork(*_):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
    os._exit(0)
signal.signal(15, fork)
while True:
    time.sleep(600)
"""


@reliability("Watchdog", fault="a browser starts a daemon on SIGTERM, and ends", promise="root's watchdog kills it")
def test_a_daemon_started_on_sigterm(kennel, watching):
    if not receives_forks():
        pytest.skip("missing: root outside of containers (to receive forks)")
    watch = watching("validated_within = 1\ngrace = 3")
    watch.said("matches no process")
    process = kennel.stand_in(DAEMON)
    watch.said(f"process {process.pid} has ended")
    assert marked(kennel) <= {watch.process.pid}
    assert [kill["pid"] for kill in watch.kills()] == [process.pid]


@reliability("Watchdog", fault="SIGTERM ends the watchdog during a grace", promise="nothing of the browser is left")
def test_sigterm_during_a_grace(kennel, watching):
    """Not even what it starts after that."""
    code = FORKING_ON_SIGTERM.replace("range(3):", "range(3):\n        time.sleep(0.5)")
    process = kennel.stand_in(code, kennel.home / "forked")
    watch = watching("validated_within = 1\ngrace = 3")
    watch.said("killed firefox")
    watch.process.terminate()
    assert watch.process.wait(60) == 0
    assert f"process {process.pid} has ended" in watch.text()
    assert marked(kennel) == set()


@reliability("Watchdog", fault="`watchdog watch --once` finds a hung browser", promise="nothing of the browser is left")
def test_once(kennel, watching):
    kennel.stand_in(FORKING_ON_SIGTERM, kennel.home / "forked")
    directory.repair()  # or the missing directory would excuse it
    time.sleep(1)  # past its time
    watch = watching("validated_within = 1\ngrace = 3", "--once")
    assert watch.process.wait(60) == 0
    assert marked(kennel) == set()


@reliability("Watchdog", fault="new rules come during a grace", promise="nothing of the browser is left")
def test_new_rules_during_a_grace(kennel, watching):
    process = kennel.stand_in(f"import time\ntime.sleep(0.1)\n{FORKING_ON_SIGTERM}", kennel.home / "forked")
    watch = watching("validated_within = 1\ngrace = 4")
    watch.said("killed firefox")
    watch.write_rules(other='process = "other"')
    watch.process.send_signal(signal.SIGHUP)
    watch.said("reloaded the rules")
    watch.said(f"process {process.pid} has ended")
    wait_for(lambda: marked(kennel) <= {watch.process.pid})


@reliability("Watchdog", fault="new rules come", promise="orphans of a browser are still its own")
def test_orphans_after_new_rules(kennel, watch):
    code = """
import os, sys, time
if os.fork() == 0:
    if os.fork():
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.01)
        os._exit(0)
    os.execv(sys.argv[2], [sys.argv[2], "-ISc", "import time; time.sleep(600)", sys.argv[-1]])
time.sleep(600)
"""
    process = kennel.stand_in(code, kennel.home / "go", named(kennel))
    pids = wait_for(lambda: len(process_tree(process.pid)) == 3 and process_tree(process.pid))
    watcher = watch()
    watcher.scan()
    (kennel.home / "go").touch()
    wait_for(lambda: len(process_tree(process.pid)) == 1)
    watcher.change_rules([Rule(command=str(kennel.home), max_memory=1, grace=0.1)])
    scan_until(watcher, lambda: not living(pids))


@reliability("Watchdog", fault="SIGKILL ends the watchdog during a grace", promise="the next one leaves nothing")
def test_sigkill_during_a_grace(kennel, watching):
    """Not even what the main process left, which ended when nobody watched."""
    process = kennel.stand_in(FORKING_ON_SIGTERM, kennel.home / "forked")
    watch = watching("validated_within = 1\ngrace = 30")
    wait_for((kennel.home / "forked").exists)
    pids = wait_for(lambda: len(process_tree(process.pid)) == 4 and process_tree(process.pid))
    (note,) = watch.state.glob("killing-*.json")
    wait_for(lambda: all(f"[{pid}," in note.read_text() for pid in pids))
    watch.process.kill()
    watch.process.wait()
    process.kill()
    process.wait()
    assert living(pids) == pids - {process.pid}
    watch.start()
    watch.said(f"an earlier watchdog was killing firefox, process {process.pid}; killing what is left: process")
    wait_for(lambda: not living(pids))
    wait_for(lambda: not list(watch.state.glob("killing-*")))


MANY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(8):
    if os.fork() == 0:
        break
time.sleep(600)
"""


@reliability("Watchdog", fault="a hundred processes have to die, and files are few", promise="all of them die")
def test_few_descriptors(kennel, watching):
    """As 60 browsers of 20 processes do with 1024 descriptors: none is held longer than one signal takes."""
    mains = [kennel.stand_in(MANY) for _ in range(10)]
    pids = set().union(*(wait_for(lambda main=main: len(f := process_tree(main.pid)) == 9 and f) for main in mains))
    watch = watching("validated_within = 1\ngrace = 0.3", start=["sh", "-c", 'ulimit -n 32; exec "$@"', "sh"])
    wait_for(lambda: not living(pids))
    wait_for(lambda: len(watch.kills()) == len(mains))
    assert "scan failed" not in watch.text()


@contextlib.contextmanager
def no_descriptor_left():
    """As if the program had as many open files as it may have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@reliability("Watchdog", fault="no file can be opened for a moment", promise="no living process is taken for gone")
def test_a_process_that_cannot_be_read_is_not_gone(kennel):
    process = kennel.stand_in()
    for ask in (processes.find, processes.name, processes.user, processes.arguments, processes.is_process):
        with pytest.raises(OSError, match="Too many open files"), no_descriptor_left():
            ask(process.pid)


@reliability("Watchdog", fault="no file can be opened for a moment", promise="no new browser is missed")
def test_what_started_when_a_scan_failed_is_found(kennel, watch, monkeypatch):
    watcher = watch()
    watcher.scan()
    process = kennel.stand_in()
    known = processes.find

    def fail_once(_pid):
        monkeypatch.setattr(processes, "find", known)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(processes, "find", fail_once)
    with pytest.raises(OSError, match="Too many"):
        watcher.scan()
    assert watcher.has_changes(), "it scans again soon"
    watcher.scan()
    assert process.pid in watcher.browsers.by_main


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("browser", ["firefox", "chromium"])
@reliability(
    "Watchdog", fault="a real browser's main process is killed, its tabs are stopped", promise="they are killed"
)
def test_stopped_tabs_of_a_dead_browser(kennel, watch, browser):
    watcher = watch(process=browser)
    process = kennel.firefox() if browser == "firefox" else chromium(kennel)
    scan_until(watcher, lambda: process.pid in watcher.browsers.by_main)
    tabs = {pid for pid in process_tree(process.pid) if is_part(processes.arguments(pid))}
    assert tabs
    signal_all(tabs, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert living(tabs)
    scan_until(watcher, lambda: not living(tabs))
    assert watcher.browsers.by_main == {}


def chromium(kennel):
    profile = f"--user-data-dir={kennel.home / 'profile'}"
    process = kennel.start([needed("chromium"), *CHROMIUM_OPTIONS, profile, "--remote-debugging-port=0", "about:blank"])
    wait_for(lambda: any("--type=renderer" in " ".join(processes.arguments(pid)) for pid in process_tree(process.pid)))
    return process
