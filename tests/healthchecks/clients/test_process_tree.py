"""Nothing of a program that a probe started outlives the run, however either of them ends."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psutil
import pytest

from healthchecks.clients import process_tree
from servermonitoring import owner
from tests.reliability import reliability
from tests.servers.server import until

LIMIT = 60  # seconds
END = "sys.stdin.readline(); family.end(); print('ended', flush=True)"
RUN = """
    import os, sys, time
    from healthchecks.clients.process_tree import ProcessTree

    {first}
    family = ProcessTree()
    family.start(["sh", "-c", sys.argv[1]])
    print(family.directory, flush=True)
    {then}
    sys.stdin.read()
"""
TREES = {
    "plain": "sleep 600 & sleep 600",
    "left_by_its_parent": "(setsid sh -c 'sleep 600 & sleep 600' &) ; exit",
    "without_environment": "(env -i setsid sleep 600 &) ; sleep 600",
    "deaf": "trap '' HUP INT QUIT TERM; sleep 600 & sleep 600; sleep 600",
    "stopped": "sleep 600 & kill -STOP $$",
    "forking": "f() { while :; do (sleep 600 &) ; sleep 0.01; done; }; f & f",
}


class Runs:
    """Stand-ins for runs of the suite, each with one family."""

    def __init__(self, folder):
        self.folder = folder

    def start(self, tree, then="", first=""):
        code = textwrap.dedent(RUN).replace("{first}", first).replace("{then}", then)
        run = subprocess.Popen(
            [sys.executable, "-c", code, TREES.get(tree, tree)],
            env={**os.environ, "TMPDIR": str(self.folder)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        return run, Path(run.stdout.readline().strip())

    def living(self):
        """Of all runs, guardians included; those without environment by what they are."""
        return [each for each in psutil.process_iter() if self._is_ours(each)]

    def _is_ours(self, process):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            places = process.environ().get("TMPDIR", ""), process.cwd()
            return any(each.startswith(str(self.folder)) for each in places)
        except psutil.Error:
            return False

    def below(self, run):
        """Guardian first."""
        return psutil.Process(run.pid).children(recursive=True)

    def assert_nothing_left(self):
        until(lambda: not self.living(), LIMIT, what="end of all processes")
        until(lambda: not list(self.folder.iterdir()), LIMIT, what="removal of all directories")

    def end(self, run, directory):
        """Let a run end what it has started, by END: it alone is left then."""
        run.stdin.write("\n")
        run.stdin.flush()
        assert run.stdout.readline() == "ended\n"
        assert not directory.exists()
        assert [each.pid for each in self.living()] == [run.pid]
        run.communicate(timeout=LIMIT)


@pytest.fixture
def runs():
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="family"))
    yield Runs(folder)
    for each in Runs(folder).living():
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    shutil.rmtree(folder, ignore_errors=True)


@reliability(
    "Browsers",
    fault="the run is killed, or its terminal closes, while a browser is at work",
    promise="every process below it ends, and its directory goes",
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM])
@pytest.mark.parametrize("tree", TREES)
def test_the_run_is_ended_by_a_signal(runs, tree, number):
    run, _ = runs.start(tree)
    os.killpg(run.pid, number)
    run.wait(LIMIT)
    runs.assert_nothing_left()


@reliability(
    "Browsers",
    fault="what a probe started forks, detaches itself, or ignores signals",
    promise="all of it is gone when the probe has ended",
)
@pytest.mark.parametrize("tree", TREES)
def test_the_probe_ends(runs, tree):
    run, directory = runs.start(tree, then=END)
    until(lambda: len(runs.below(run)) >= 3, LIMIT, what="the tree")
    runs.end(run, directory)


@reliability(
    "Browsers",
    fault="a check forked a process that lives on and holds everything that the run had open",
    promise="browsers end with the run all the same",
)
def test_a_fork_of_the_run_lives_on(runs):
    run, directory = runs.start("plain", then="pid = os.fork() or time.sleep(600); print(pid, flush=True)")
    fork = int(run.stdout.readline())
    run.kill()
    run.wait(LIMIT)
    until(lambda: not directory.exists(), LIMIT, what="removal of the directory")
    until(lambda: [each.pid for each in runs.living()] == [fork], LIMIT, what="end of all others")
    os.kill(fork, signal.SIGKILL)


@reliability(
    "Browsers",
    fault="another run starts, with other temporary files, just when one is killed",
    promise="it ends the browsers of the dead one, whose guardian still removes their directory",
)
def test_another_run_starts_when_one_is_killed(runs, tmp_path):
    run, directory = runs.start("plain")
    guardian, *browser = runs.below(run)
    guardian.suspend()
    run.kill()
    run.wait(LIMIT)
    other = Runs(tmp_path)
    later, _ = other.start("plain")  # cleans up before it starts anything
    until(lambda: not any(map(alive, browser)), LIMIT, what="end of the browser")
    assert directory.exists()
    guardian.resume()
    runs.assert_nothing_left()
    later.communicate(timeout=LIMIT)


@reliability(
    "Browsers",
    fault="the memory is full, and the kernel kills the process that guards a browser",
    promise="the run ends the browser itself",
)
def test_the_guardian_is_killed(runs):
    run, directory = runs.start("plain", then=END)
    runs.below(run)[0].kill()
    runs.end(run, directory)


@reliability(
    "Browsers",
    fault="a run and its guardian were killed at once",
    promise="the next run ends their processes and removes their directory, and touches no living run's",
)
def test_the_next_run_removes_what_a_killed_one_left(runs):
    killed, left = runs.start("plain")
    living, other = runs.start("plain")
    guardian = runs.below(killed)[0]
    for each in (psutil.Process(killed.pid), guardian):
        each.suspend()
    orphans = guardian.children(recursive=True)
    for each in (guardian, psutil.Process(killed.pid)):
        each.kill()
    killed.wait(LIMIT)
    until(lambda: any(each.is_running() for each in orphans) and left.is_dir(), LIMIT, what="leftovers")
    third, _ = runs.start("plain")  # cleans up before it starts anything
    assert not left.exists()
    until(lambda: not any(map(alive, orphans)), LIMIT, what="end of the orphans")
    assert other.is_dir()
    assert len(runs.below(living)) >= 3
    for each in (living, third):
        each.communicate(timeout=LIMIT)
    runs.assert_nothing_left()


def alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


DEAD = f"999999999.1.{Path('/proc/self/ns/pid').stat().st_ino}"


def directory_of(base, number, text, mode=0o700):
    path = base / f"{owner.PREFIX}{number:012x}"
    path.mkdir()
    (path / owner.FILE).write_text(text)
    (path / "profile").mkdir()
    path.chmod(mode)
    return path


@reliability(
    "Browsers",
    fault="other users put directories and links with our names into /tmp",
    promise="only directories of this user, for nobody else, of a dead run are removed",
)
def test_directories_similar_to_leftovers_stay(tmp_path, monkeypatch):
    ours = directory_of(tmp_path, 1, DEAD)
    treasure = directory_of(tmp_path / "..", 0xABCDEF, DEAD)
    stay = [
        directory_of(tmp_path, 2, str(owner.this_process())),
        directory_of(tmp_path, 3, DEAD, mode=0o755),
        directory_of(tmp_path, 4, "1.1.1"),  # of another container
        directory_of(tmp_path, 5, "rubbish"),
        tmp_path / f"{owner.PREFIX}{6:012x}",
        tmp_path / f"{owner.PREFIX}mine",
    ]
    stay[4].symlink_to(treasure)
    stay[5].mkdir()
    if os.geteuid() == 0:
        stay.append(directory_of(tmp_path, 7, DEAD))
        os.chown(stay[-1], 12345, -1)
    os.mkfifo(stay[2] / "fifo")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process_tree.remove_leftovers_once.cache_clear()
    process_tree.remove_leftovers_once()
    assert not ours.exists()
    assert all(os.path.lexists(each) for each in stay)
    assert (treasure / "profile").is_dir()


@reliability(
    "Browsers",
    fault="a page downloads more than fits on the disk",
    promise="no file of a browser grows over 100 MB, and all are removed with it",
)
def test_a_file_without_end(runs):
    run, directory = runs.start(
        "truncate -s 100000000 full; head -c 9 /dev/zero >> full; truncate -s 100000001 much; sleep 600"
    )
    output = directory / "output"
    until(lambda: output.exists() and output.read_text().count("File too large") == 2, LIMIT, what="the limit")
    run.communicate(timeout=LIMIT)
    runs.assert_nothing_left()


def test_owner_that_is_no_owner(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert owner.owner_of(descriptor) is None
        os.mkfifo(tmp_path / owner.FILE)
        assert owner.owner_of(descriptor) is None
    finally:
        os.close(descriptor)
    assert not owner.this_process().is_dead
    assert owner.parse(str(owner.this_process())) == owner.this_process()


@reliability(
    "Browsers",
    fault="a browser inherits what the run has open",
    promise="it has its own input and output only",
)
def test_no_descriptor_is_inherited(runs):
    opened = "os.set_inheritable(os.open('/proc/uptime', os.O_RDONLY), True)"  # as C libraries open theirs
    run, directory = runs.start("ls -l /proc/self/fd >&2; sleep 600", first=opened)
    output = directory / "output"
    until(lambda: "total" in output.read_text() and output.read_text().count("->") >= 4, LIMIT, what="the list")
    targets = [line.rpartition(" -> ")[2] for line in output.read_text().splitlines() if " -> " in line]
    assert [each for each in targets if not re.match(rf"/dev/null|{directory}|/proc/\d+/fd", each)] == []
    assert len(targets) == 4
    assert directory.stat().st_mode & 0o777 == 0o700
    run.communicate(timeout=LIMIT)
