"""A process is (pid, start), and no step of the clock changes what was validated."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tests.watchdog.kennel import WATCHDOG, is_named, needed, wait_for
from watchdog import processes
from watchdog.browsers import Browsers
from watchdog.policy import Rule
from watchdog.process_table import ProcessTable
from watchdog.processes import uptime
from watchdog.termination import Termination
from watchdog.validation import validate_process
from watchdog.watcher import Watcher

REUSE = textwrap.dedent("""
    import os, subprocess, sys, time
    from watchdog.policy import Rule
    from watchdog.validation import validate_process
    from watchdog.watcher import Watcher

    def start():
        process = subprocess.Popen([sys.argv[1], "-ISc", "import time; time.sleep(600)"])
        while open(f"/proc/{process.pid}/comm").read() != "firefox\\n":
            time.sleep(0.01)
        return process

    first = start()
    watch = Watcher([Rule(command=sys.argv[1], validated_within=8, grace=0.1)], None)
    watch.scan()
    browser = watch.browsers.by_main[first.pid]
    validate_process(first.pid)
    time.sleep(4)
    first.kill(); first.wait()
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(first.pid - 1))
    second = start()
    assert second.pid == first.pid, (first.pid, second.pid)
    time.sleep(max(0, 8.05 - (time.clock_gettime(time.CLOCK_BOOTTIME) - browser.main.started_at)))
    from watchdog.termination import Termination
    try:
        Termination(browser, 0, is_urgent=False)
        print("killed the wrong one")
    except ProcessLookupError:
        print("recognized")
    watch.scan()
    time.sleep(0.3)
    watch.scan()
    print("lives" if second.poll() is None else "dead")
    second.kill()
""")

WRAP = textwrap.dedent("""
    import os, signal, time
    from watchdog.processes import uptime
    from watchdog.process_table import ProcessTable

    def start_from(pid, count):
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(pid - 1))
        return [os.fork() or (signal.pause(), os._exit(0)) for _ in range(count)]

    table, later = ProcessTable(), uptime() + 20  # no longer young
    first = start_from(300, 10)
    table.refresh(later)
    high = start_from(32000, 1)
    table.refresh(later)
    for pid in first:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    time.sleep(0.05)  # or they could have started in one tick of the clock
    second = start_from(300, 10)
    assert first == second, (first, second)
    print(set(second) <= {each.pid for each in table.refresh(later)})
    for pid in (*high, *second):
        os.kill(pid, signal.SIGKILL)
""")


def test_pid_reused_between_scan_and_kill(kennel):
    """Another browser with the pid of the one that was to die lives, in a pid namespace of the test's own."""
    unshare = needed("unshare")
    if os.geteuid() != 0 or not Path("/proc/sys/kernel/ns_last_pid").exists():
        pytest.skip("missing: root and ns_last_pid (to choose the next pid)")
    (kennel.home / "bin").mkdir()
    program = kennel.home / "bin" / "firefox"
    program.symlink_to(os.path.realpath(sys.executable))
    command = [
        unshare,
        "--fork",
        "--pid",
        "--mount-proc",
        "--kill-child",
        sys.executable,
        "-c",
        REUSE,
        program,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout.split("\n")[:2] == ["recognized", "lives"], done.stderr


def test_gone_between_scan_and_kill(kennel):
    process = kennel.stand_in()
    watch = Watcher([Rule(command=str(kennel.home), grace=0.1)], None)
    watch.scan()
    (browser,) = watch.browsers.by_main.values()
    process.kill()
    process.wait()
    with pytest.raises(ProcessLookupError):
        Termination(browser, 0, is_urgent=False)
    watch.scan()
    assert watch.browsers.by_main == {}


def test_below_its_limit_before_the_kill(kennel):
    """What was over the limit at the scan, and is not just before the kill, lives."""
    code = (
        "import sys, time\nheld = b'x' * 200_000_000\nprint(1, flush=True)\nsys.stdin.readline()\n"
        "del held\nprint(2, flush=True)\ntime.sleep(600)"
    )
    process = kennel.stand_in(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    watch = Watcher([Rule(command=str(kennel.home), max_memory=100_000_000, grace=0.1)], None)
    measure_first = watch._confirm

    def shrink_then_confirm(browser):
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        return measure_first(browser)

    watch._confirm = shrink_then_confirm
    watch.scan()
    watch.finish()
    assert watch.browsers.by_main[process.pid].memory < 100_000_000
    assert process.poll() is None


@pytest.fixture
def faketime():
    """Its path; what one that was killed has left in memory would stop the next one with the same pid."""
    program = needed("faketime")
    _remove_left_by_faketime()
    yield program
    _remove_left_by_faketime()


def _remove_left_by_faketime():
    for path in Path("/dev/shm").glob("*faketime_s*_*"):
        if processes.find(int(path.name.rpartition("_")[2])) is None:
            path.unlink(missing_ok=True)


@pytest.mark.parametrize("step", ["+1h", "-1h"])
def test_a_step_of_the_clock_in_either_program(kennel, watching, faketime, step):
    """No clock decides, of the scraper or of the watchdog: validated it lives, silent it dies in time."""
    process = kennel.stand_in()
    watch = watching(
        "validated_within = 8\nrevalidated_every = 5", start=[faketime, "-f", step],
        env={"FAKETIME_DONT_FAKE_MONOTONIC": "1"},
    )  # fmt: skip
    validate = [
        faketime,
        "-f",
        {"+1h": "-1h", "-1h": "+1h"}[step],
        *watch.command[3:4],
        "validate",
        str(process.pid),
    ]
    for _ in range(5):
        subprocess.run(validate, check=True, env={**os.environ, "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        time.sleep(1.2)
    assert process.poll() is None
    process.wait(60)  # not an hour later
    assert watch.kills()[0]["reason"] == "silent"


def test_a_record_on_disk_of_an_hour_before_the_step(kennel):
    """The times of the file are of the clock, and mean nothing."""
    process = kennel.stand_in()
    assert validate_process(process.pid)
    (record,) = (kennel.home / "validated").iterdir()
    for shift in (-3600, 3600):
        os.utime(record, (time.time() + shift, time.time() + shift))
        watch = Watcher([Rule(command=str(kennel.home), validated_within=0.01, revalidated_every=60)], None)
        watch.scan()
        assert abs(watch.browsers.by_main[process.pid].validated_at - uptime()) < 50
        assert watch.terminations == []


def test_record_format_can_be_written_by_a_shell(kennel):
    """What docs/watchdog.md promises to writers in other languages."""
    process = kennel.stand_in()
    script = textwrap.dedent("""
        start=$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20)
        mkdir -p "$WATCHDOG_VALIDATED_DIR"; cd "$WATCHDOG_VALIDATED_DIR"
        cut -d' ' -f1 /proc/uptime > ".$1-$start.$$" && mv ".$1-$start.$$" "$1-$start"
    """)
    subprocess.run(["sh", "-c", script, "sh", str(process.pid)], check=True)
    done = subprocess.run(
        [*WATCHDOG, "status", "--json"],
        capture_output=True, text=True, check=False, cwd=kennel.home,
    )  # fmt: skip
    (browser,) = [each for each in json.loads(done.stdout)["browsers"] if each["pid"] == process.pid]
    assert browser["validated"] < 60
    assert is_named(process.pid, "firefox")
    wait_for(lambda: processes.alive(process.pid, processes.find(process.pid).start))


def test_an_orphan_of_an_earlier_process_with_the_browsers_pid_is_no_member():
    """The table remembers the first parent; a browser that has its pid today is not the parent."""
    here = processes.find(os.getpid())
    table, browsers = ProcessTable(), Browsers([Rule(process=here.name)])
    child = subprocess.Popen([needed("sleep"), "600"])
    try:
        older = processes.find(os.getppid())
        table.known = {here.pid: here, older.pid: older._replace(parent=here.pid)}
        (browser,) = browsers.update(table, [here], uptime())
        assert set(browser.members) == {here.pid}
        table.known[child.pid] = processes.find(child.pid)
        browsers.update(table, [table.known[child.pid]], uptime())
        assert set(browser.members) == {here.pid, child.pid}
    finally:
        child.kill()
        child.wait()


def test_new_processes_are_found_without_listing(kennel):
    """By the order of pids; threads are none."""
    table = ProcessTable()
    table.refresh(uptime())
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    process = kennel.start([needed("sleep"), "600"])
    assert table.is_stale(uptime())
    changed = {each.pid for each in table.refresh(uptime())}
    assert process.pid in changed
    assert thread.native_id not in table.known
    done.set()
    thread.join()


def test_known_processes_are_not_read_at_each_scan(kennel, monkeypatch):
    """Not immediately after the first scan either, when pids assigned before it are still tried."""
    table, now = ProcessTable(), uptime() + 20  # none is young
    table.refresh(now)
    known, read, find = set(table.known), [], processes.find
    monkeypatch.setattr(processes, "find", lambda pid: read.append(pid) or find(pid))
    process = kennel.start([needed("sleep"), "600"])
    assert process.pid in {each.pid for each in table.refresh(now + 0.1)}
    assert process.pid in read
    assert len(known.intersection(read)) < len(known) / 2  # some may have ended, or their pids are used again


def test_an_old_process_with_another_name_is_found(kennel):
    """As after exec, which keeps pid and start."""
    rename = "import time; input(); open('/proc/self/comm', 'w').write('firefox'); time.sleep(600)"
    process = kennel.start([sys.executable, "-c", rename], stdin=subprocess.PIPE)
    table, now = ProcessTable(), uptime() + 20  # it is no longer young
    table.refresh(now)
    before = table.known[process.pid].name
    process.stdin.write(b"\n")
    process.stdin.flush()
    wait_for(lambda: processes.name(process.pid) == "firefox")
    assert before != "firefox"
    for turn in range(1, len(table.known)):  # each has a part of them read again
        changed = {each.pid: each for each in table.refresh(now + 60 * turn)}
        if process.pid in changed:
            break
    assert changed[process.pid].name == "firefox"


def test_names_of_processes_that_are_gone(kennel):
    process = kennel.start([needed("sleep"), "600"])
    wait_for(lambda: processes.name(process.pid) == "sleep")
    process.kill()
    process.wait()
    assert processes.name(process.pid) is None


def test_reused_pids_are_read_again():
    """A pid that was known is another process when pids were given out beyond the highest meanwhile."""
    if os.geteuid() != 0 or not Path("/proc/sys/kernel/ns_last_pid").exists():
        pytest.skip("missing: root and ns_last_pid (to choose the next pid)")
    done = subprocess.run(
        [needed("unshare"), "--pid", "--fork", "--mount-proc", sys.executable, "-c", WRAP],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "True\n", done.stderr


def test_a_process_that_cannot_be_seen_yet_is_tried_again(kennel, monkeypatch):
    """The kernel gives out a pid early in a fork, and the fork may have to wait for a processor."""
    table, now = ProcessTable(), uptime()
    for second in (3, 2, 1):
        table.refresh(now - second)  # the first ones list /proc
    process = kennel.start([needed("sleep"), "600"])
    is_process = processes.is_process
    monkeypatch.setattr(processes, "is_process", lambda pid: pid != process.pid and is_process(pid))
    for step in range(10):
        assert process.pid not in {each.pid for each in table.refresh(now + step / 100)}
    monkeypatch.undo()
    assert process.pid in {each.pid for each in table.refresh(now + 0.1)}
