"""Browsers in namespaces of their own, with the program that drives and validates them."""

import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import PurePath

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import as_user, is_named, needed, process_tree, records, wait_for
from watchdog.policy import Rule
from watchdog.processes import uptime
from watchdog.validation import containers, directory
from watchdog.validation import records as retention
from watchdog.validation.tracker import ValidationTracker
from watchdog.watcher import Watcher

# Starts a browser, and validates it as its own side sees it.
DRIVER = """
import subprocess, sys, time
browser = subprocess.Popen(sys.argv[2:])
while open(f"/proc/{browser.pid}/comm").read() != "firefox\\n":
    time.sleep(0.01)
from watchdog.validation import validate_process
print(validate_process(browser.pid) if sys.argv[1] == "validates" else "silent", flush=True)
browser.wait()
"""
# Mounts a file system with nobody behind it, and becomes another program.
FUSE = """
import os, subprocess, sys
fuse = os.open("/dev/fuse", os.O_RDWR)
os.set_inheritable(fuse, True)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other"
subprocess.run(["mount", "-i", "-t", "fuse", "-o", options, "never", sys.argv[1]], pass_fds=[fuse], check=True)
os.execvp(sys.argv[2], sys.argv[2:])
"""
OWN_DIRECTORY = 'mount -t tmpfs -o mode=1777 tmpfs "$WATCHDOG_VALIDATED_DIR"'
LXC = 'echo 7.00 7.00 > "$HOME/uptime" && mount --bind "$HOME/uptime" /proc/uptime'
CONTAINERS = {
    "PrivateTmp": (["-m"], OWN_DIRECTORY),
    "own mounts, same directory": (["-m"], ":"),
    "own pids and mounts": (["-m", "-p", "-f", "--mount-proc"], OWN_DIRECTORY),
    "own pids, same directory": (["-p", "-f", "--mount-proc"], ":"),
    "own users": (["-U", "-r", "-m"], OWN_DIRECTORY),
    "own time": (["-T", "--boottime", "100000", "-f"], ":"),
    "LXC": (["-m"], LXC),
    "everything": (["-U", "-r", "-m", "-p", "-f", "--mount-proc", "-T", "--boottime", "100000"], OWN_DIRECTORY),
}


@pytest.fixture
def contained(kennel):
    """Starts a driver and its browser in a container; gives the browser's pid as seen from outside."""
    records(kennel.home).mkdir(mode=0o700)
    program = kennel.home / "bin" / "firefox"
    program.parent.mkdir()
    program.symlink_to(os.path.realpath(sys.executable))

    def start(options, prepare, conduct="validates"):
        unshare = [needed("unshare"), *options]
        if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
            pytest.skip(f"missing: namespaces (unshare {' '.join(options)})")
        browser = [program, "-I", "-S", "-c", "import time; time.sleep(600)", f"--marker={kennel.home}"]
        script = f'{prepare} && exec "$@"'
        driver = kennel.start(
            [*unshare, "sh", "-c", script, "sh", sys.executable, "-c", DRIVER, conduct, *browser],
            stdout=subprocess.PIPE, stderr=None, text=True,
        )  # fmt: skip
        assert driver.stdout.readline() == {"validates": "True\n", "silent": "silent\n"}[conduct]
        (pid,) = wait_for(lambda: {pid for pid in process_tree(driver.pid) if is_named(pid, "firefox")})
        return pid

    return start


def watch(kennel, **limits):
    """The watchdog after one scan, with a limit that any browser is past."""
    time.sleep(0.1)
    watch = Watcher([Rule(command=str(kennel.home), validated_within=0.01, grace=0.01, **limits)], None)
    watch.scan()
    return watch


@pytest.mark.parametrize("container", CONTAINERS)
@reliability(
    "Watchdog",
    fault="browser and program run in a container, behind PrivateTmp= or in LXC: their own /tmp, pids, users or time",
    promise="the validation that the program wrote in there counts",
)
def test_validated_inside(kennel, contained, container):
    pid = contained(*CONTAINERS[container])
    watcher = watch(kennel)
    assert watcher.terminations == []
    assert abs(watcher.browsers.by_main[pid].validated_at - uptime()) < 60


@pytest.mark.parametrize("container", CONTAINERS)
@reliability("Watchdog", fault="a browser in a container hangs", promise="it is killed from outside")
def test_silent_inside(kennel, contained, container):
    pid = contained(*CONTAINERS[container], "silent")
    watcher = watch(kennel)
    watcher.finish()
    wait_for(lambda: not process_tree(pid))


@reliability(
    "Watchdog",
    fault="the directory of records of a container is a file system that never responds",
    promise="the watchdog waits for nothing, logs it, and applies only the memory limit",
)
def test_a_directory_that_never_answers(kennel, contained, caplog):
    """FUSE with nobody behind it: to look up a name in it takes for ever."""
    (kennel.home / "fuse.py").write_text(FUSE)
    fuse = f'set -- {sys.executable} {kennel.home}/fuse.py "$WATCHDOG_VALIDATED_DIR" "$@"'
    mounted = ["unshare", "-m", sys.executable, kennel.home / "fuse.py", records(kennel.home), "true"]
    if subprocess.run(mounted, check=False, capture_output=True).returncode:
        pytest.skip("missing: FUSE (to mount a file system that never responds)")
    pid = contained(["-m"], fuse, "silent")
    with caplog.at_level(logging.INFO):
        watcher = watch(kennel)
    assert watcher.terminations == []
    assert f"validations of firefox, process {pid}, cannot be read, so only its memory limit applies" in caplog.text
    assert "file system of type fuse" in caplog.text


def test_a_link_inside_is_not_followed(kennel, contained, caplog, monkeypatch):
    """It would lead through the watchdog's own files, not through those of the container."""
    monkeypatch.setenv(directory.VARIABLE, str(kennel.home / "tmp" / "validated"))
    (kennel.home / "tmp").mkdir()
    pid = contained(["-m"], 'mount -t tmpfs tmpfs "$HOME/tmp" && ln -s / "$HOME/tmp/validated"', "silent")
    watcher = watch(kennel)
    assert watcher.terminations == []
    assert f"validations of firefox, process {pid}, cannot be read, so only its memory limit applies" in caplog.text
    assert "Not a directory" in caplog.text


@reliability(
    "Watchdog",
    fault="a directory of records is shared with a container, or two watchdogs clean it up",
    promise="no watchdog removes records of processes that it cannot see",
)
def test_records_of_another_container_stay(kennel, contained):
    contained(["-p", "-f", "--mount-proc"], ":")
    (inside,) = records(kennel.home).iterdir()
    of_a_shell, of_ours = (records(kennel.home) / name for name in ("999998-1", "999999-1"))
    of_a_shell.write_text("1\n")
    of_ours.write_text(f"1\nvalidated by process 1{retention.mark()}\n")
    ValidationTracker(repair=True).clean_up()
    assert set(records(kennel.home).iterdir()) == {inside, of_a_shell}


def test_records_that_nobody_renewed_for_a_day_go(kennel, monkeypatch):
    records(kennel.home).mkdir(mode=0o700)
    for name in ("999998-1", ".999997-1.x"):
        (records(kennel.home) / name).write_text("1\n")
    tomorrow = time.time() + 90_000
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    ValidationTracker(repair=True).clean_up()
    assert list(records(kennel.home).iterdir()) == []


def test_a_users_own_watchdog_and_container(shared, monkeypatch):
    """Without root on either side; the record is that of a shell, with the time that LXC needs."""
    monkeypatch.setenv(directory.VARIABLE, str(shared / "validated"))
    shutil.copy(needed("sleep"), shared / "firefox")
    script = f"""
        mount -t tmpfs tmpfs {shared}/validated || exit
        start=$(sed 's/.*) //' "/proc/$$/stat" | cut -d' ' -f20)
        {needed("awk")} '{{print $22 / 100}}' /proc/self/stat > {shared}/validated/$$-$start
        exec {shared}/firefox 600
    """

    def validated():
        (shared / "validated").mkdir(mode=0o700)
        browser = subprocess.Popen([needed("unshare"), "-U", "-r", "-m", "sh", "-c", script], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: browser.poll() is not None or is_named(browser.pid, "firefox"))
            if browser.poll() is not None:
                return "missing"
            watcher = Watcher([Rule(command=str(shared), validated_within=0.01, grace=0.01)], None)
            watcher.scan()
            return abs(watcher.browsers.by_main[browser.pid].validated_at - uptime()) < 60
        finally:
            browser.kill()

    if (said := as_user(54321, validated)) == "missing":
        pytest.skip("missing: user namespaces for users")
    assert said == "True"


def test_where_a_path_leads():
    """The last mount over the longest part of it counts, and names may hold spaces."""
    mounts = [
        containers.Mount(1, "8:1", "/", "/", "ext4"),
        containers.Mount(2, "0:5", "/", "/tmp", "tmpfs"),
        containers.Mount(3, "8:1", "/private/tmp", "/tmp", "ext4"),
    ]
    assert containers.place(mounts, PurePath("/tmp/validated")) == ("8:1", PurePath("/private/tmp/validated"))
    assert containers.place(mounts, PurePath("/tmpfile")) == ("8:1", PurePath("/tmpfile"))
    assert containers.place([], PurePath("/tmp")) is None
    assert containers._mount(r"9 1 8:1 /a\040b /c\011d rw - ext4 x rw") == (9, "8:1", "/a b", "/c\td", "ext4")


def test_more_mounts_than_can_be_read(kennel, contained, caplog, monkeypatch):
    """Then the directory of records may be any of them."""
    monkeypatch.setattr(containers, "_MOST_READ", 100)
    contained(["-m"], OWN_DIRECTORY, "silent")
    assert watch(kennel).terminations == []
    assert "mountinfo is longer than 100 bytes" in caplog.text


def test_a_watchdog_in_a_container_says_what_it_sees(watching):
    start = [needed("unshare"), "-p", "-f", "--mount-proc", "--kill-child"]
    if subprocess.run([*start, "true"], check=False, capture_output=True).returncode:
        pytest.skip("missing: namespaces (unshare -p)")
    watching(start=start).said("runs in a container.*browsers outside of it are not watched")
