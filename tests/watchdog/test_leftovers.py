"""`watchdog clean` removes what dead browsers left, and nothing else."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import (
    CHROMIUM_OPTIONS,
    PREFERENCES,
    WATCHDOG,
    as_user,
    living,
    needed,
    process_tree,
    signal_all,
    wait_for,
)
from watchdog import leftovers, processes


def clean(directory, *more):
    command = [*WATCHDOG, "clean", "--directory", directory, "--older-than", "0", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


# No one else's process may name them, not even that of the same test in another run.
TOKEN = os.urandom(4).hex()
LEFT = [
    f"rust_mozprofile{TOKEN}", f"tmp{TOKEN}_1.mozrunner",
    f"org.chromium.Chromium.{TOKEN}", f".org.chromium.Chromium.{TOKEN}",
    f"com.google.Chrome.{TOKEN}", f".com.google.Chrome.{TOKEN}", f"scoped_dir123_{TOKEN}", f".scoped_dir.{TOKEN}",
    f"servermonitoring-browser-0123{TOKEN}",
]  # fmt: skip
OTHERS = ["rust_mozprofile", "tmpabc", "mozrunner", "org.chromium", "profile", "my.org.chromium.Chromium.x",
    "servermonitoring-browser-download", "servermonitoring-0123456789ab",
]  # fmt: skip


def test_names(tmp_path):
    for name in (*LEFT, *OTHERS):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / "file").write_bytes(b"x" * 5000)
    listed = clean(tmp_path, "--dry-run")
    assert listed.returncode == 0
    assert all(str(tmp_path / name) in listed.stdout and " kB" in listed.stdout for name in LEFT)
    assert len(names(tmp_path)) == len(LEFT) + len(OTHERS)
    done = clean(tmp_path)
    assert done.stdout.startswith(f"{len(LEFT)} leftovers of dead browsers removed, ")
    assert names(tmp_path) == sorted(OTHERS)


def test_young_ones_stay(tmp_path):
    (tmp_path / LEFT[0]).mkdir()
    os.utime(tmp_path / LEFT[0], (1, 1))
    subprocess.run([*WATCHDOG, "clean", "--directory", tmp_path], check=True)
    assert names(tmp_path) == [LEFT[0]]


def test_links_are_not_followed(tmp_path):
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "file").write_text("keep")
    directory = tmp_path / "tmp"
    (directory / LEFT[0]).mkdir(parents=True)
    (directory / LEFT[0] / "inside").symlink_to(treasure)
    (directory / LEFT[0] / "file").symlink_to(treasure / "file")
    (directory / LEFT[2]).symlink_to(treasure)
    clean(directory)
    assert names(directory) == []
    assert (treasure / "file").read_text() == "keep"


def test_eight_thousand(tmp_path):
    for number in range(8000):
        directory = tmp_path / f"rust_mozprofile{number}"
        directory.mkdir()
        (directory / "prefs.js").touch()
    assert clean(tmp_path).stdout.startswith("8000 leftovers")
    assert names(tmp_path) == []


def test_used_ones_stay(tmp_path, kennel):
    """By command line, open file, working directory, socket, and by the browsers' own locks."""
    for name in LEFT[:6]:
        (tmp_path / name).mkdir()
    kennel.start([needed("sleep"), "600"], cwd=tmp_path / LEFT[0])
    kennel.stand_in("import time; time.sleep(600)", f"--user-data-dir={tmp_path / LEFT[1]}")
    host = socket.gethostname()
    (tmp_path / LEFT[3] / "SingletonLock").symlink_to(f"{host}-{os.getpid()}")
    (tmp_path / LEFT[4] / "SingletonLock").symlink_to(f"{host}-999999")
    with (tmp_path / LEFT[2] / "open").open("w"), socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / LEFT[5] / "s"))
        clean(tmp_path)
        assert {name for name in LEFT if (tmp_path / name).exists()} == {*LEFT[:4], LEFT[5]}


@reliability(
    "Browsers",
    fault="a health check's browser directory is left after its run was killed",
    promise="`watchdog clean` removes it once that run is dead, and never that of a living one",
)
def test_directory_of_a_health_check(tmp_path, kennel):
    """The run is named in it by pid and start time; the browser itself may not have started yet."""
    run = kennel.start([needed("sleep"), "600"])
    start = processes.find(run.pid).start
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    owners = {
        "servermonitoring-browser-00000000000a": f"{run.pid}.{start}.{namespace}",
        "servermonitoring-browser-00000000000b": f"{run.pid}.{start - 1}.{namespace}",  # an earlier one, of this pid
        "servermonitoring-browser-00000000000c": f"{run.pid}.{start - 1}.{namespace + 1}",  # of a container
        "servermonitoring-browser-00000000000d": "rubbish",
    }
    for name, owner in owners.items():
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name / "owner").write_text(owner)
    clean(tmp_path)
    assert [name[-1] for name in names(tmp_path)] == ["a", "c"]
    run.kill()
    run.wait()
    clean(tmp_path)
    assert [name[-1] for name in names(tmp_path)] == ["c"]


def test_firefox_lock(tmp_path, kennel):
    """The lock counts where the process that holds it cannot be seen; a stale file does not."""
    for name in ("rust_mozprofile1", "rust_mozprofile2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".parentlock").touch()
    code = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
        " print(1, flush=True); sys.stdin.read()"
    )
    holder = kennel.start(
        [sys.executable, "-c", code, tmp_path / "rust_mozprofile1" / ".parentlock"],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE,
    )  # fmt: skip
    holder.stdout.readline()

    parent = os.open(tmp_path, os.O_RDONLY)
    assert leftovers.is_locked(parent, "rust_mozprofile1")
    assert not leftovers.is_locked(parent, "rust_mozprofile2")
    os.close(parent)
    assert fcntl.LOCK_EX


def test_profile_of_a_killed_browser(tmp_path):
    """Its own user's temporary profile goes; a profile that a person chose, or of another user, stays."""
    temporary, chosen = tmp_path / "rust_mozprofileX", tmp_path / "profile"
    for path in (temporary, chosen):
        path.mkdir()
    assert leftovers.remove_profiles(["firefox", "-profile", str(chosen)], os.getuid()) == []
    (refused,) = leftovers.remove_profiles(["firefox", "-profile", str(temporary)], 54321)
    assert refused.error
    assert temporary.exists()
    file = tmp_path / "scoped_dirX"
    file.touch()
    (refused,) = leftovers.remove_profiles(["chromium", f"--user-data-dir={file}"], 54321)
    assert refused.error
    file.unlink()
    (removed,) = leftovers.remove_profiles(["firefox", "-profile", str(temporary)], os.getuid())
    assert not removed.error
    assert names(tmp_path) == ["profile"]


def test_other_users_leftovers_without_root(shared):
    (shared / LEFT[0]).mkdir()
    as_user(54321, lambda: list(leftovers.clean(shared, 0, dry_run=False)))
    assert (shared / LEFT[0]).exists()


CRASHING = textwrap.dedent("""
    import sys
    from selenium import webdriver
    settings = webdriver.ChromeOptions()
    settings.binary_location = sys.argv[1]
    for option in sys.argv[3:]:
        settings.add_argument(option)
    driver = webdriver.Chrome(settings, webdriver.ChromeService(sys.argv[2]))
    print(driver.service.process.pid, flush=True)
    sys.stdin.read()
""")


def profiles_of(driver):
    """The profile directories in the command lines of a driver's browser."""
    return {path for pid in process_tree(driver) for path in leftovers.named_in(processes.arguments(pid))}


def test_crashed_chromium_and_a_living_one(shared, kennel):
    """Real leftovers, made by SIGKILL; the living browser keeps its profile at any age."""
    directory = shared  # Chromium's socket wants a short path
    programs = [
        kennel.start(
            [sys.executable, "-c", CRASHING, needed("chromium"), needed("chromedriver"), *CHROMIUM_OPTIONS],
            env={**os.environ, "TMPDIR": str(directory)}, stdout=subprocess.PIPE, stdin=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    crashed, alive = [int(program.stdout.readline()) for program in programs]
    left, kept = profiles_of(crashed), profiles_of(alive)
    killed = process_tree(crashed)
    signal_all(killed, signal.SIGKILL)
    wait_for(lambda: not living(killed))
    assert left
    assert kept
    assert all(profile.is_dir() for profile in left | kept)
    names_left = {profile.name for profile in left}
    wait_for(lambda: not names_left & leftovers.used_entries(directory))  # the crash handler ends a little later
    assert clean(directory).returncode == 0
    assert not any(os.path.lexists(profile) for profile in left)
    assert all(profile.is_dir() for profile in kept)
    for program in programs:
        program.stdin.close()


FIREFOX = textwrap.dedent("""
    import os, sys
    from marionette_driver.marionette import Marionette
    client = Marionette(bin=sys.argv[1], port=0, headless=True, prefs=eval(sys.argv[2]))
    client.start_session()
    print(client.process_id, client.instance.profile.profile, flush=True)
    sys.stdin.read()
    os._exit(0)
""")


def test_crashed_firefox_of_marionette(kennel):
    pytest.importorskip("marionette_driver", reason="missing: marionette-driver")
    directory = kennel.home / "t"
    directory.mkdir()
    program = kennel.start(
        [sys.executable, "-c", FIREFOX, needed("firefox-esr"), repr(PREFERENCES)],
        env={**os.environ, "TMPDIR": str(directory)},
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=kennel.home,
    )  # fmt: skip
    pid, profile = program.stdout.readline().split()
    clean(directory)
    assert Path(profile).is_dir()  # it lives
    pids = process_tree(int(pid))
    program.kill()
    program.wait()
    signal_all(pids, signal.SIGKILL)
    wait_for(lambda: not living(pids))
    assert Path(profile).is_dir()  # left behind
    wait_for(lambda: Path(profile).name not in leftovers.used_entries(directory))  # the crash helper ends later
    clean(directory)
    assert not os.path.lexists(profile)
