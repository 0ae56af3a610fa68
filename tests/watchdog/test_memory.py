"""Memory as it is: in swap, shared, of a process whose main thread has ended, and where the kernel does not show it."""

import errno
import logging
import os
import subprocess
from pathlib import Path

import pytest

from tests.reliability import reliability
from tests.watchdog.kennel import living, needed, process_tree, wait_for
from watchdog import memory, proc_files, processes

MB = 1_000_000
ONLY_MEMORY = "validated_within = false\nrevalidated_every = false\n"
SLEEP = "\nimport time\ntime.sleep(600)"


@pytest.fixture
def swap(tmp_path):
    """Some swap: the machine's own, or a small file as long as this test runs."""
    free = {line.split()[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    if free["SwapFree:"] * 1024 >= 128 * MB:
        yield
        return
    file = tmp_path / "swap"
    try:
        with file.open("xb") as out:
            for _ in range(128):
                out.write(bytes(2**20))
        file.chmod(0o600)
        subprocess.run([needed("mkswap"), file], check=True, capture_output=True)
        subprocess.run([needed("swapon"), file], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("missing: swap, or the right to make some")
    yield
    subprocess.run(["swapoff", file], check=True, capture_output=True)
    file.unlink()


# Pages out what it allocates, in steps of 4 MB.
SWAPPED = (
    """
import mmap, sys, time
held = []
while len(held) * 4 < int(sys.argv[1]):
    piece = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(piece), 4096):
        piece[at] = 1
    piece.madvise(21)  # MADV_PAGEOUT
    held.append(piece)
    time.sleep(0.01)
"""
    + SLEEP
)


@pytest.mark.usefixtures("swap")
@reliability("Watchdog", fault="a browser grows into swap", promise="what is swapped out counts from the first byte")
def test_swap_counts(kennel, watching):
    watch = watching(ONLY_MEMORY + 'max_memory = "60MB"')
    browser = kennel.stand_in(SWAPPED, "100")
    watch.said("killed firefox", 90)
    browser.wait(60)
    (kill,) = watch.kills()
    assert kill["reason"] == "memory"
    assert 60 * MB < kill["memory"] < 130 * MB


@pytest.mark.usefixtures("swap")
def test_swap_of_a_process(kennel):
    """Resident and swapped, from the first byte."""
    process = kennel.stand_in(SWAPPED, "64")
    wait_for(lambda: memory.measure(process.pid).proportional > 64 * MB)
    assert processes.resident(process.pid)[0] > 64 * MB
    assert int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 < 40 * MB


# Near the limit of 120 MB; then a new child maps 200 MB of shared memory.
MAPPER = (
    """
import mmap
shared = mmap.mmap(-1, 200 << 20)
for at in range(0, len(shared), 4096):
    shared[at] = 1
"""
    + SLEEP
)
SHARER = (
    """
import subprocess, sys
held = b"x" * (95 << 20)
print("near", flush=True)
sys.stdin.readline()
subprocess.Popen([sys.executable, "-ISc", sys.argv[1], *sys.argv[2:]])
"""
    + SLEEP
)


@reliability("Watchdog", fault="a new child near the limit maps shared memory", promise="it counts at once")
def test_shared_memory_of_a_new_child(kennel, watching):
    watch = watching(ONLY_MEMORY + 'max_memory = "120MB"', "--poll-interval", "1")
    browser = kennel.stand_in(SHARER, MAPPER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    browser.stdout.readline()
    watch.said("watching firefox")
    browser.stdin.write(b"\n")
    browser.stdin.flush()
    watch.said("killed firefox", 40)  # less than the minute after which all is measured again
    browser.wait(60)


# Forks children that share its 60 MB; each time one is measured, the pages of the others are divided again.
FORKER = """
import os, sys, time
held = b"x" * (60 << 20)
print("near", flush=True)
for line in sys.stdin:
    if os.fork() == 0:
        time.sleep(600)
    print("forked", flush=True)
"""


@reliability("Watchdog", fault="new children share pages that were counted", promise="no browser dies by a stale count")
def test_shared_pages_are_counted_once_before_a_kill(kennel):
    """By its real values the browser is at 70 MB of 80, however often it forks."""
    browser = kennel.stand_in(FORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    meter, now = memory.MemoryMeter(), 1000.0
    browser.stdout.readline()
    assert 60 * MB < meter.read([browser.pid], 80 * MB, now) < 80 * MB
    pids = {browser.pid}
    for _ in range(4):
        browser.stdin.write(b"\n")
        browser.stdin.flush()
        browser.stdout.readline()
        pids = process_tree(browser.pid)
        now += 0.1
        assert meter.read(pids, 80 * MB, now) <= 80 * MB
    assert len(pids) == 5


def test_pages_of_one_that_ends_are_counted_for_the_others(kennel):
    """Two share 60 MB, one ends: the other carries them alone, though its resident size stays the same."""
    browser = kennel.stand_in(FORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    browser.stdout.readline()
    browser.stdin.write(b"\n")
    browser.stdin.flush()
    browser.stdout.readline()
    (child,) = process_tree(browser.pid) - {browser.pid}
    meter = memory.MemoryMeter()
    assert 60 * MB < meter.read_exactly([browser.pid, child], 1000.0) < 80 * MB
    assert memory.measure(child).proportional < 50 * MB
    browser.kill()
    browser.wait(60)
    assert meter.read([child], 80 * MB, 1000.1) > 60 * MB


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOMEM, errno.ESRCH, errno.EIO, None])
@reliability("Watchdog", fault="the kernel does not show the PSS", promise="all that is resident counts, said once")
def test_rollup_that_fails(monkeypatch, caplog, number):
    """None: it succeeds and says nothing, as an empty file."""
    real = proc_files.read

    def read(path, most):
        if not path.endswith("smaps_rollup"):
            return real(path, most)
        if number is not None:
            raise OSError(number, "failed on purpose")
        return b""

    monkeypatch.setattr(proc_files, "read", read)
    monkeypatch.setattr(memory, "_logged_fallbacks", set())
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        whole, _ = processes.resident(os.getpid())
        assert memory.measure(os.getpid()).proportional >= whole * 0.9 > MB
    assert caplog.text.count("cannot be measured") == 1


def test_rollup_hidden_from_the_watchdog(kennel, watching):
    """In a mount namespace where an empty file covers the browser's smaps_rollup."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("missing: mount namespaces")
    browser = kennel.stand_in('held = b"x" * (64 << 20)' + SLEEP)
    wait_for(lambda: processes.resident(browser.pid)[0] > 64 * MB)
    cover = 'mount --bind /dev/null /proc/$0/smaps_rollup && exec "$@"'
    watch = watching(ONLY_MEMORY + 'max_memory = "60MB"', start=["unshare", "-m", "sh", "-c", cover, browser.pid])
    watch.said("killed firefox")
    browser.wait(60)
    watch.said("cannot be measured")


def test_nothing_is_said_of_a_process_that_is_gone(kennel, monkeypatch, caplog):
    browser = kennel.stand_in()
    browser.kill()
    browser.wait(60)
    monkeypatch.setattr(memory, "_logged_fallbacks", set())
    assert memory.measure(browser.pid) == (0, 0)
    assert not caplog.text


@reliability("Watchdog", fault="no descriptor is left to read the memory", promise="nothing is taken for 0 B")
def test_no_descriptor_left(monkeypatch):
    def open_none(*_args, **_options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", open_none)
    with pytest.raises(OSError, match="Too many open files"):
        processes.resident(os.getpid())
    with pytest.raises(OSError, match="Too many open files"):
        memory.measure(os.getpid())


# Ends its main thread while another one holds memory (argument 1, in MB) and lives on.
HEADLESS = """
import ctypes, platform, sys, threading, time
def live():
    time.sleep(0.2)
    held = b"x" * (int(sys.argv[1]) << 20)
    time.sleep(600)
threading.Thread(target=live).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)
"""


@pytest.mark.parametrize(("rule", "reason"), [('max_memory = "60MB"', "memory"), ("", "never validated")])
@reliability("Watchdog", fault="a browser's main thread has ended", promise="it is watched and killed as before")
def test_main_thread_that_has_ended(kennel, watching, rule, reason):
    browser = kennel.stand_in(HEADLESS, "64")
    wait_for(lambda: processes.find(browser.pid).state == "Z")
    assert str(kennel.home) in " ".join(processes.arguments(browser.pid))
    wait_for(lambda: memory.measure(browser.pid).proportional > 64 * MB)
    watch = watching("validated_within = 2\n" + rule)
    watch.said("killed firefox")
    browser.wait(60)
    assert [kill["reason"] for kill in watch.kills()] == [reason]


def test_main_thread_that_ends_while_it_is_watched(kennel, watching):
    watch = watching('validated_within = false\nmax_memory = "60MB"')
    browser = kennel.stand_in(HEADLESS, "64")
    watch.said("killed firefox")
    browser.wait(60)
    wait_for(lambda: not living([browser.pid]))
