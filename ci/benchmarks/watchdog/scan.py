"""The cost of a scan: a steady scan of 100, 1,000 and 5,000 processes, compared with psutil.process_iter; the CPU of
`watchdog watch` and of monit over a minute at 1,000; memory, and its growth over 1,000 scans.
"""

import compileall
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import servermonitoring
import watchdog
from watchdog.policy import Rule
from watchdog.processes import uptime
from watchdog.watcher import Watcher

COUNTS = (100, 1000, 5000)
RULE = Rule(command="^/none$")  # it matches no browser of anybody
SLEEPERS = """
import os, sys, time
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        time.sleep(3600)
print("ready", flush=True)
sys.stdin.read()
os.killpg(0, 9)
"""


class Crowd:
    """Sleeping processes in a group of their own, so many that the machine has this count."""

    def __init__(self, count: int) -> None:
        missing = max(0, count - len(psutil.pids()))
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", SLEEPERS, str(missing)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout
        self.process.stdout.readline()

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def milliseconds(work, times: int = 20) -> float:  # noqa: ANN001 - a callable
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def steady_scan(watcher: Watcher) -> float:
    """Scan as in the daemon with a busy machine: something new was started before each scan."""
    subprocess.run(["true"], check=True)
    begun = time.perf_counter()
    watcher.scan()
    return (time.perf_counter() - begun) * 1000


def scans() -> None:
    os.environ["WATCHDOG_VALIDATED_DIR"] = tempfile.mkdtemp()
    for count in COUNTS:
        crowd = Crowd(count)
        try:
            time.sleep(11)  # none is young any more
            compare(count)
            if count == COUNTS[1]:
                minute()
        finally:
            crowd.end()


def compare(count: int) -> None:
    watcher, attributes = Watcher([RULE], None), ["name", "cmdline", "create_time", "memory_info"]
    watcher.scan()
    time.sleep(1)  # pids that were assigned shortly before the first scan are tried for half a second
    watcher.scan()
    ours = statistics.median(steady_scan(watcher) for _ in range(20))
    quiet = milliseconds(watcher.scan)
    check = milliseconds(lambda: watcher.table.is_stale(uptime()))
    theirs = milliseconds(lambda: list(psutil.process_iter(attributes)), 5)
    print(
        f"{count:5} processes: scan {ours:.2f} ms, with nothing new {quiet:.2f}, check {check:.3f}; "
        f"psutil.process_iter {theirs:.1f} ms, {theirs / ours:.0f} times as long",
        flush=True,
    )


def minute() -> None:
    """Measure CPU over a minute, side by side, while a process is started each second."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        watched = {"watchdog": start_watchdog(home)}
        if shutil.which("monit"):
            watched["monit, 1 s"] = start_monit(home)
        time.sleep(12)
        before = {name: cpu(process) for name, process in watched.items()}
        for _ in range(60):
            subprocess.run(["true"], check=True)
            time.sleep(1)
        for name, process in watched.items():
            used, resident = cpu(process) - before[name], psutil.Process(process.pid).memory_info().rss / 1e6
            print(f"        a minute: {name:12} {used / 60:.3%} of a core, RSS {resident:.1f} MB")
            process.terminate()
            process.wait()


def start_watchdog(home: Path) -> subprocess.Popen[bytes]:
    rule = f'[watchdog.firefox]\ncommand = "{home}/none"\n'  # it matches no browser of anybody
    (home / "servermonitoring.toml").write_text(f'[state]\ndirectory = "{home}/state"\n{rule}')
    command = [str(Path(sys.executable).with_name("watchdog")), "watch", "--config"]
    compileall.compile_dir(watchdog.__path__[0], quiet=1)  # as pip does
    compileall.compile_dir(servermonitoring.__path__[0], quiet=1)
    return subprocess.Popen([*command, str(home / "servermonitoring.toml")], stderr=subprocess.DEVNULL)


def start_monit(home: Path) -> subprocess.Popen[bytes]:
    control = home / "monitrc"
    control.write_text(
        f"set daemon 1\nset pidfile {home}/m.pid\nset statefile {home}/m.state\nset idfile {home}/m.id\n"
        'check process browser matching "firefox"\n  if total memory > 1200 MB then alert\n'
    )
    control.chmod(0o700)
    return subprocess.Popen(["monit", "-I", "-c", str(control)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def cpu(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def thousand_scans() -> None:
    """Measure in a process of its own, as psutil is in this one."""
    code = (
        "import watchdog.cli, watchdog.daemon, watchdog.processes as p, os\n"
        "from watchdog.watcher import Watcher\nfrom watchdog.policy import Rule\n"
        "watcher = Watcher([Rule(command='/none')], None); rss = lambda: p.resident(os.getpid())[0] / 1e6\n"
        "[watcher.scan() for _ in range(100)]; before = rss()\n"
        "[watcher.scan() for _ in range(1000)]; "
        "print(f'RSS {rss():.1f} MB, {rss() - before:+.2f} MB in 1,000 scans')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    scans()
    thousand_scans()
