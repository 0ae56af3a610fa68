"""What a command costs: with all its descendants, of which none is left."""

import signal
import subprocess
import sys

import psutil
import pytest

from tests import ROOT
from tests.servers.server import until

ORPHAN = """
import os, time
read, write = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        while time.process_time() < 0.5:
            pass
    os._exit(0)
os.close(write)
os.wait()
os.read(read, 1)
"""
SHARED = """
import os, sys
text = b"x" * 64_000_000
read, write = os.pipe()
if (child := os.fork()) == 0:
    os.close(write)
    os.read(read, 1)
    os._exit(0)
print(child, flush=True)
sys.stdin.read()
"""


def test_the_meter_counts_orphans(tmp_path, shared):
    spent = shared("measuring").cost([sys.executable, "-c", ORPHAN], tmp_path)
    assert (spent.status, spent.output) == (0, "")
    assert spent.cpu >= 0.5


def test_the_meter_ends_what_the_command_leaves(tmp_path, shared):
    spent = shared("measuring").cost(["sh", "-c", "sleep 600 & echo $!"], tmp_path)
    assert not psutil.pid_exists(int(spent.output))


@pytest.mark.parametrize("end", [lambda process: process.stdin.close(), subprocess.Popen.terminate])
def test_the_command_ends_with_its_benchmark(tmp_path, end):
    meter = [sys.executable, "-IS", ROOT / "ci/benchmarks/meter.py", "600", "0", tmp_path / "output", "sleep", "600"]
    with subprocess.Popen(meter, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        command = until(psutil.Process(process.pid).children, what="start of the command")
        end(process)
        assert process.wait(180) != 0
    assert psutil.wait_procs(command, timeout=60)[1] == []


def test_the_meter_ends_a_command_that_takes_too_long(tmp_path, shared):
    assert shared("measuring").cost(["sleep", "600"], tmp_path, limit=0.1).status == -signal.SIGKILL


def test_memory_that_processes_share_counts_once(shared):
    process = subprocess.Popen([sys.executable, "-c", SHARED], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        pids = process.pid, int(process.stdout.readline())
        assert 64e6 < sum(map(shared("meter").memory, pids)) < 110e6


def test_percentiles(shared):
    percentile = shared("measuring").percentile
    assert (percentile([7], 0.95), percentile([1, 2, 9], 0.5)) == (7, 2)
    assert percentile(range(101), 0.95) == pytest.approx(95)
