"""Browsers with a cgroup (version 2) of their own."""

import subprocess
import time
from pathlib import Path

import pytest

from tests import ROOT
from tests.reliability import reliability
from tests.watchdog.kennel import CHROMIUM_OPTIONS, GROWER, family, is_named, needed, wait_for
from watchdog import cgroup
from watchdog.cgroup import Cgroup

MB = 1_000_000
ONLY_MEMORY = 'validated_within = false\nmax_memory = "60MB"\n'
NEVER = "validated_within = 2\ngrace = 1\n"


@pytest.fixture
def group():
    """A cgroup that is empty now; all that is in it ends with the test."""
    path = new_group()
    yield path
    (path / "cgroup.kill").write_text("1")
    wait_for(lambda: "populated 0" in (path / "cgroup.events").read_text())
    path.rmdir()


def new_group():
    mount = cgroup._mount()
    path = Path(mount or "/nowhere", f"watchdog-test-{time.monotonic_ns()}")
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"missing: cgroup version 2 that this user may change ({error})")
    if not (path / "cgroup.kill").exists():
        path.rmdir()
        pytest.skip("missing: cgroup.kill (Linux 5.14)")
    return path


def inside(group):
    """For Popen: the new process moves into the cgroup before it becomes another program."""
    return {"preexec_fn": lambda: (group / "cgroup.procs").write_text("0")}


@pytest.fixture
def browser(kennel, group):
    return kennel.stand_in(**inside(group))


@pytest.fixture
def fake(browser, group, tmp_path):
    """A directory with the files of the browser's cgroup, as the memory controller would write them."""
    directory = tmp_path / "fake" / group.name
    directory.mkdir(parents=True)
    (directory / "cgroup.procs").write_text(f"{browser.pid}\n")
    write_counts(directory, current=10 * MB)
    return directory


def pids(group):
    return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}


# When told to, its child forks a successor every 20 ms, in a session of its own, and ends: its parents tell nothing.
HOPPER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.readline()
if os.fork() == 0:
    with open("/proc/self/comm", "w") as own:
        own.write("Web Content")
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.02)
held = b"x" * (64 << 20)
time.sleep(600)
"""


@reliability("Watchdog", fault="a hung browser forks on while it is killed", promise="its own cgroup dies as a whole")
def test_what_forks_while_it_is_killed(kennel, watching, group):
    watch = watching(ONLY_MEMORY + "grace = 1")
    browser = kennel.stand_in(HOPPER, stdin=subprocess.PIPE, **inside(group))
    watch.said("watching firefox")
    browser.stdin.close()
    watch.said("has ended", 90)
    browser.wait(60)
    assert not pids(group)


def test_a_shared_cgroup_is_not_killed(kennel, watching, group, browser):
    driver = kennel.stand_in(name="driver", **inside(group))
    watch = watching(NEVER)
    watch.said("has ended", 90)
    browser.wait(60)
    assert pids(group) == {driver.pid}
    assert driver.poll() is None


def test_another_browser_in_the_cgroup_lives(kennel, watching, group):
    watch = watching(ONLY_MEMORY)
    grower = "import sys\nsys.stdin.readline()\n" + GROWER
    browser = kennel.stand_in(grower, "100e6", "64e6", stdin=subprocess.PIPE, **inside(group))
    watch.said(f"watching firefox, process {browser.pid}")
    other = kennel.stand_in(**inside(group))
    watch.said(f"watching firefox, process {other.pid}")
    browser.stdin.close()
    watch.said("has ended", 90)
    browser.wait(60)
    assert pids(group) == {other.pid}
    assert other.poll() is None


def test_whose_cgroup_it_is(kennel, group):
    """Its own with members and what is below them only; and from then on whatever comes into it."""
    browser = kennel.stand_in("import os, time; os.fork(); time.sleep(600)", **inside(group))
    wait_for(lambda: len(pids(group)) == 2)
    driver = kennel.stand_in(name="driver", **inside(group))
    mine = Cgroup(browser.pid)
    mine.seek([browser.pid], 0.0)
    assert not mine.kill()
    driver.kill()
    driver.wait(60)
    mine.seek([browser.pid], 0.0)
    kennel.stand_in(name="later", **inside(group))
    mine.seek([browser.pid], 20.0)
    assert mine.kill()
    wait_for(lambda: not pids(group))
    assert not mine.kill()


def test_cgroups_that_are_nobodys_own(kennel, monkeypatch):
    """The root, and none where version 2 is not mounted."""
    browser = kennel.stand_in()
    mine = Cgroup(browser.pid)
    mine.seek([browser.pid], 0.0)
    assert not mine.kill()
    monkeypatch.setattr(cgroup, "_mount", lambda: None)
    mine.seek([browser.pid], 0.0)
    assert mine.weigh([browser.pid], MB, 0.0) == 0
    assert browser.poll() is None


def test_a_cgroup_made_anew_under_the_same_name(kennel, group, browser):
    """What others start in it later has nothing to do with the browser."""
    mine = Cgroup(browser.pid)
    mine.seek([browser.pid], 0.0)
    browser.kill()
    browser.wait(60)
    wait_for(lambda: "populated 0" in (group / "cgroup.events").read_text())
    group.rmdir()
    group.mkdir()
    other = kennel.stand_in(name="other", **inside(group))
    assert not mine.kill()
    assert other.poll() is None


def write_counts(directory, *, current, swap=0, **stat):
    (directory / "memory.current").write_text(f"{current}\n")
    (directory / "memory.swap.current").write_text(f"{swap}\n")
    (directory / "memory.stat").write_text("".join(f"{name} {count}\n" for name, count in stat.items()))


@pytest.mark.parametrize(
    ("counts", "weight"),
    [
        ({"current": 30 * MB}, 30 * MB),
        ({"current": 300 * MB, "anon": 300 * MB}, 300 * MB),
        (
            {"current": 300 * MB, "inactive_file": 200 * MB, "active_file": 50 * MB, "slab_reclaimable": 20 * MB},
            30 * MB,
        ),
        ({"current": 50 * MB, "swap": 70 * MB}, 120 * MB),
    ],
)
def test_what_counts_in_a_cgroup(browser, fake, monkeypatch, counts, weight):
    """The page cache does not; swap and all else does."""
    write_counts(fake, **counts)
    monkeypatch.setattr(cgroup, "_mount", lambda: str(fake.parent))
    assert Cgroup(browser.pid).weigh([browser.pid], 60 * MB, 0.0) == weight


@reliability("Watchdog", fault="memory that no process maps", promise="it counts where the browser has its own cgroup")
def test_killed_for_what_its_cgroup_counts(watching, browser, fake):
    """The real watchdog, where files of this test cover those of the cgroup."""
    cover = with_mount(f"--bind {fake.parent} {cgroup._mount()}")
    watch = watching(ONLY_MEMORY, "--poll-interval", "0.2", start=cover)
    watch.said("watching firefox")
    write_counts(fake, current=100 * MB, anon=100 * MB)
    watch.said("killed firefox.* uses 100 MB of 60 MB")
    browser.wait(60)


def with_mount(options):
    """What to start the watchdog with, so that it has a mount of its own."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("missing: mount namespaces")
    return ["unshare", "-m", "sh", "-c", f'mount {options} && exec "$@"', "sh"]


def test_a_cgroup_that_may_not_be_killed(kennel, watching, group):
    """Its processes are killed one by one, and why is said once."""
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    browser = kennel.stand_in(deaf, **inside(group))
    watch = watching(NEVER, start=with_mount(f"-o remount,bind,ro {cgroup._mount()}"))
    watch.said("has ended")
    browser.wait(60)
    watch.said("cannot be killed as a whole: .*Read-only file system")
    assert watch.text().count("killed as a whole") == 1


def test_the_deployed_unit_may_kill_cgroups():
    unit = ROOT / "deploy/systemd/servermonitoring-watchdog.service"
    assert "\nProtectControlGroups=yes" not in unit.read_text()


MEMFD = """
import os, time
file = os.memfd_create("held")
for _ in range(100):
    os.write(file, bytes(2**20))
time.sleep(600)
"""


def test_memfd_that_is_not_mapped(kennel, watching, group):
    if not (group / "memory.current").exists():
        pytest.skip("missing: the memory controller of cgroup version 2")
    watch = watching(ONLY_MEMORY)
    browser = kennel.stand_in(MEMFD, **inside(group))
    watch.said("killed firefox")
    browser.wait(60)


def test_real_chromium_in_a_cgroup_of_its_own(kennel, group):
    """Its crash handlers have left it before they can be seen below it; they are its own all the same."""
    options = [*CHROMIUM_OPTIONS, "--remote-debugging-port=0", f"--user-data-dir={kennel.home}/profile"]
    browser = kennel.start([needed("chromium"), *options, "about:blank"], **inside(group))
    wait_for(lambda: any(is_named(pid, "chrome_crashpad") for pid in pids(group) - family(browser.pid)))
    mine = Cgroup(browser.pid)
    mine.seek(family(browser.pid), 0.0)
    assert mine.kill()
    wait_for(lambda: not pids(group))
    browser.wait(60)
