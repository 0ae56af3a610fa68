"""What `watchdog clean` does with mounts, other views of a directory, very deep trees, and trees that change."""

import os
import subprocess

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import WATCHDOG, is_named, needed, wait_for
from watchdog import removal

NAME = f"rust_mozprofile{os.urandom(4).hex()}"  # no one else's process names it


@pytest.fixture
def leftover(tmp_path):
    leftover = tmp_path / "tmp" / NAME
    leftover.mkdir(parents=True)
    (leftover / "prefs.js").touch()
    return leftover


def clean(leftover, *mounting):
    command = [*mounting, *WATCHDOG, "clean", "--directory", leftover.parent, "--older-than", "0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def with_mount(what, where):
    """The start of a command that sees this mounted there, as no one else does."""
    if os.geteuid() != 0 or subprocess.run([needed("unshare"), "-m", "true"], check=False).returncode != 0:
        pytest.skip("missing: the right to mount")
    return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', what, where]


@reliability(
    "Watchdog",
    fault="a directory is mounted inside of a dead browser's profile",
    promise="`watchdog clean` removes nothing of either, and says so",
)
def test_mounted_directory_is_not_emptied(leftover, tmp_path):
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "file").touch()
    (leftover / "below" / "inside").mkdir(parents=True)
    done = clean(leftover, *with_mount(treasure, leftover / "below" / "inside"))
    assert done.returncode == 1
    assert f"{leftover}  inside is a mount point: what is mounted there is not removed" in done.stdout
    assert (treasure / "file").exists()
    assert (leftover / "prefs.js").exists()


@reliability(
    "Watchdog",
    fault="a profile is used from another mount namespace, where it has another path",
    promise="`watchdog clean` leaves it alone for as long as it is mounted there",
)
def test_profile_mounted_elsewhere(leftover, tmp_path, kennel):
    (tmp_path / "elsewhere").mkdir()
    browser = kennel.start([*with_mount(leftover, tmp_path / "elsewhere"), "sleep", "600"])
    wait_for(lambda: is_named(browser.pid, "sleep"))
    assert clean(leftover).returncode == 0
    assert leftover.exists()
    browser.kill()
    browser.wait()
    clean(leftover)
    assert not leftover.exists()


@pytest.mark.parametrize(
    "path", [NAME, f"./{NAME}/", f"/another/root/{NAME}"], ids=["relative", "with a dot", "absolute"]
)
@reliability(
    "Watchdog",
    fault="a living browser names its profile by a relative path, or by that below a root of its own",
    promise="`watchdog clean` leaves it alone",
)
def test_profile_named_otherwise(leftover, kennel, path):
    kennel.stand_in("import time; time.sleep(600)", "--profile", path)
    clean(leftover)
    assert leftover.exists()


@reliability(
    "Watchdog",
    fault="a dead browser's profile is 1,500 directories deep, its paths longer than the system takes",
    promise="`watchdog clean` removes it",
)
def test_deep_tree(leftover):
    descriptor = os.open(leftover, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 50, dir_fd=descriptor)
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    done = clean(leftover)
    assert not leftover.exists()
    assert done.stdout.startswith("1 leftovers of dead browsers removed")


def test_directory_of_another_user_is_not_emptied(leftover):
    """Whoever owns the profile may have moved it there, and could not remove what is in it."""
    if os.geteuid() != 0:
        pytest.skip("missing: root (to act for two users)")
    others = leftover / "others"
    others.mkdir()
    (others / "file").touch()
    os.chown(leftover, 54321, 54321)
    done = clean(leftover)
    assert done.returncode == 1
    assert "others belongs to user 0, not to user 54321" in done.stdout
    assert (others / "file").exists()


def test_directory_that_is_moved_meanwhile(leftover, tmp_path):
    """The walk does not go up to where it was moved."""
    (leftover / "a" / "b").mkdir(parents=True)
    (leftover / "a" / "b" / "file").touch()
    parent = os.open(leftover.parent, os.O_RDONLY)
    entries = removal.walk(parent, NAME)
    while next(entries).name != "file":
        pass
    (leftover / "a" / "b").rename(tmp_path / "b")
    with pytest.raises(OSError, match="b was moved meanwhile"):
        list(entries)
    os.close(parent)
