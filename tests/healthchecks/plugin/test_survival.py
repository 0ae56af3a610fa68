"""What a run itself lives through, and what it refuses before anything is contacted or written."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.reliability import reliability
from tests.servers.server import program

CHECK = """
import ctypes
import socket
import pytest
from healthchecks import Target, probe


class Port(Target):
    number: int


@probe
def contact(port: Port) -> bool:
    socket.create_connection(("127.0.0.1", port.number), 5).close()
    return True


def test_port(port, contact):
    print("said by a check")
    assert not contact, "it is open"
"""
MADE = """

def made():
    with open("made", "a") as file:
        file.write("x")
"""


@pytest.fixture
def contacting(suite, hole):
    """A check that fails, and what it contacts."""
    suite.write("test_mine.py", CHECK)
    suite.configure(f"[port.one]\nnumber = {hole.port}\n")
    return suite


@pytest.fixture
def pytest_without_proc(suite):
    """Runs pytest with these arguments, and with /proc not mounted; returns what `subprocess.run` does."""
    if os.geteuid() != 0:
        pytest.skip("missing: root, to run without /proc")

    def run(*arguments):
        command = shlex.join([sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", *arguments])
        return subprocess.run(
            [program("unshare"), "--mount", "sh", "-c", f"umount -l /proc && exec {command}"],
            cwd=suite.folder, env=suite.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    return run


def through_shell(suite, words: str) -> int:
    """Exit status of the run, in a shell that does this to its descriptors."""
    command = f"{sys.executable} -m pytest -p no:hypothesispytest test_mine.py"
    done = subprocess.run(
        ["bash", "-c", words.format(run=command)], cwd=suite.folder, env=suite.environment, check=False, timeout=120
    )
    return done.returncode


def status_of(suite) -> str:
    (check,) = json.loads((suite.page / "status.json").read_text())["checks"]
    return f"{check['status']}: {check['message']}"


@reliability(
    "Scheduled runs",
    fault="standard output or error of a run is closed, full, or read by nobody",
    promise="exit status, page and alerts are those of its checks",
)
@pytest.mark.parametrize(
    "words",
    ["{run} >&-", "{run} 2>&-", "{run} >&- 2>&- <&-", "{run} >/dev/full", "{run} >/dev/full 2>&1",
     "{run} -s >/dev/full",
     "{run} -v | true; exit ${{PIPESTATUS[0]}}"],
)  # fmt: skip
def test_output_that_goes_nowhere(contacting, words):
    assert through_shell(contacting, words) == 1
    assert status_of(contacting) == "failed: it is open"
    assert (contacting.page / "index.html").stat().st_size > 10_000


def test_in_a_run_without_checks_lost_output_is_an_error_as_ever(suite):
    """The plugin is inert there."""
    suite.write("test_mine.py", "def test_mine(): pass\n")
    assert through_shell(suite, "{run} > /dev/full 2> /dev/null") != 0


@reliability(
    "Scheduled runs",
    fault="there is no directory for temporary files, not even in memory",
    promise="what checks print is captured in memory, and the run is as ever",
)
@pytest.mark.parametrize("memory", [True, False], ids=["memory is left", "nothing is left"])
def test_no_temporary_directory(contacting, memory):
    """Everything is read-only, also the directory in which it runs."""
    places = ["/tmp", "/var/tmp", "/usr/tmp", *([] if memory else ["/dev/shm"])]
    kept = f"mount --bind {shlex.quote(str(contacting.folder))} /mnt && mount -o remount,bind,ro /mnt"
    readonly = "; ".join(
        f"[ ! -d {each} ] || {{ mount --bind {each} {each} && mount -o remount,bind,ro {each}; }}" for each in places
    )
    run = f"{sys.executable} -m pytest -p no:hypothesispytest -p no:cacheprovider test_mine.py"
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        [program("unshare"), "--mount", *as_root, "sh", "-c", f"{kept}; {readonly}; cd /mnt && {run}"],
        env=contacting.environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "it is open" in done.stdout


@reliability(
    "Scheduled runs",
    fault="/proc is not mounted, and the disks to check are those that are found",
    promise="the disk of / is checked, and all else as ever",
)
def test_no_proc(contacting, pytest_without_proc):
    done = pytest_without_proc("--pyargs", "healthchecks.test_disk", "test_mine.py")
    assert done.returncode == 1, done.stdout + done.stderr
    checks = json.loads((contacting.page / "status.json").read_text())["checks"]
    assert {(each["check"], each["message"]) for each in checks} >= {("port", "it is open")}, done.stdout
    assert "disk_space" in {each["check"] for each in checks}


@reliability(
    "Checks",
    fault="/proc is not mounted, and a probe holds Python in C for longer than a second",
    promise="it is waited for, and made once: who is stopped and who computes cannot be seen",
)
def test_no_proc_and_a_probe_that_holds_python(suite, pytest_without_proc):
    held = "ctypes.PyDLL(None).usleep(1_500_000)"
    suite.write("test_mine.py", CHECK.replace("    socket.create", f"    made()\n    {held}\n    socket.create") + MADE)
    suite.configure("[port.one]\nnumber = 1\n")
    done = pytest_without_proc("test_mine.py")
    assert "ConnectionRefusedError" in done.stdout
    assert (suite.folder / "made").read_text() == "x"


@reliability(
    "Plugins and options",
    fault="a plugin of the user has an unknown hook, or pytest.ini an unknown key",
    promise="status 4 before any target is contacted",
)
@pytest.mark.parametrize(
    ("conftest", "ini"),
    [("def pytest_no_such_hook(): pass\n", ""), ("", "no_such_key = 1\naddopts = --strict-config\n"),
     ("def pytest_collection_finish(session):\n    import pytest\n    raise pytest.UsageError('no')\n", ""),
     ("def pytest_collection_modifyitems(items):\n    import pytest\n    raise pytest.UsageError('no')\n", "")],
    ids=["unknown hook", "unknown key", "refuses at the end of collection", "refuses items"],
)  # fmt: skip
def test_what_is_refused_contacts_nobody(contacting, hole, conftest, ini):
    contacting.write("conftest.py", conftest)
    contacting.write("pytest.ini", f"[pytest]\n{ini}")
    outcome = contacting.run()
    assert outcome.status in (3, 4), outcome.output  # an unknown hook is pytest's own INTERNALERROR
    assert hole.contacts == 0
    assert not contacting.state.exists()


@reliability(
    "Checks", fault="Python runs with -O, which leaves asserts out", promise="the run is refused in one line, status 4"
)
@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_without_asserts(contacting, hole, option):
    done = subprocess.run(
        [sys.executable, option, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "--assert=plain", "test_mine.py"],
        cwd=contacting.folder, env=contacting.environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 4
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    assert "Python was started with -O" in line
    assert hole.contacts == 0


@pytest.fixture
def stranger():
    if os.geteuid() != 0:
        pytest.skip("missing: root, to own files as another user")
    return 61234


@reliability(
    "Files",
    fault="root runs the suite of another user by hand, perhaps before its first run",
    promise="refused in one line that says what to type; no file of root's is left",
)
@pytest.mark.parametrize("place", ["state", "state to be made", "page"])
def test_root_in_the_directories_of_another_user(contacting, hole, stranger, place):
    directory = contacting.page if place == "page" else contacting.state
    directory.mkdir(parents=True)
    os.chown(directory.parent if place == "state to be made" else directory, stranger, stranger)
    if place == "state to be made":
        directory.rmdir()
    before = sorted(contacting.folder.rglob("*"))
    outcome = contacting.run()
    assert outcome.status == 4, outcome.output
    assert f"belongs to user {stranger}: run `sudo -u '#{stranger}' " in outcome.output
    assert "pytest" in outcome.output.partition("sudo")[2]
    assert hole.contacts == 0
    made = [each for each in contacting.folder.rglob("*") if each not in before]
    assert [each for each in made if ".pytest_cache" not in each.parts or each.parent.name == "cache"] == []


@reliability(
    "Files",
    fault="the state directory belongs to another user",
    promise="refused in words, and not used",
)
def test_a_state_directory_of_another_user(contacting, hole, stranger, public_path):
    contacting.folder = shutil.copytree(contacting.folder, public_path / "checks")
    contacting.folder.chmod(0o755)
    contacting.environment["XDG_STATE_HOME"] = str(contacting.state.parent)
    contacting.state.mkdir(parents=True)
    contacting.state.chmod(0o777)
    contacting.page.mkdir(parents=True)
    os.chown(contacting.page, stranger, stranger)
    words = [program("setpriv"), "--reuid", str(stranger), "--regid", str(stranger), "--clear-groups"]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    done = subprocess.run(
        [*words, sys.executable, "-m", "pytest", *options, "test_mine.py"],
        cwd=contacting.folder, env=contacting.environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"belongs to user root, not to user {stranger}" in done.stderr
    assert list(contacting.state.iterdir()) == []
    assert hole.contacts == 0
