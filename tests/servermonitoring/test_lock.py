"""The instance lock, which the suite and the watchdog share."""

import os
import subprocess
import sys

import pytest

from servermonitoring.state_directory import AlreadyRunningError, InstanceLock
from tests import ROOT

HOLD = """
import sys
from pathlib import Path
from servermonitoring.state_directory import InstanceLock
lock = InstanceLock(Path(sys.argv[1]), "a.lock")
lock.take()
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_gets_the_pid_of_the_first(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline() == "taken\n"
    lock = InstanceLock(tmp_path, "a.lock", "thing")
    with pytest.raises(AlreadyRunningError, match=f"^another thing is alive: pid {first.pid}, for "):
        lock.take()
    first.communicate("")
    lock.take()
    lock.release()


def test_a_lock_without_a_note(tmp_path):
    """Its holder could not write one, for example because the disk is full."""
    holder = InstanceLock(tmp_path)
    holder.take()
    os.truncate(tmp_path / "run.lock", 0)
    with pytest.raises(AlreadyRunningError, match=r"^another run of the health checks is alive$"):
        InstanceLock(tmp_path).take()
    holder.release()


def test_a_forked_child_does_not_hold_it(tmp_path):
    holder = InstanceLock(tmp_path)
    holder.take()
    child = os.fork()
    if child == 0:
        os._exit(0 if holder._descriptor is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    holder.release()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_anything_but_a_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "run.lock")
    lock = InstanceLock(tmp_path)
    with pytest.raises(OSError, match=r"not a file|Is a directory|symbolic links"):
        lock.take()
    assert lock._descriptor is None
