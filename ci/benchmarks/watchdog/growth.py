"""How far above its limit a growing browser gets: the watchdog, monit and superlance's memmon.

The same grower for all: a process called `firefox` that allocates and touches 1 MiB pieces at a steady rate,
and reports its own peak by the last size that it wrote to a shared page. Once more with most of the limit in swap
before it begins to grow, where the machine has swap.
"""

import argparse
import mmap
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LIMIT_MB = 1200  # the default
SWAPPED_MB = 900
GROWER = """
import mmap, os, struct, sys, time
rate, path, swapped = float(sys.argv[1]) * 1e6, sys.argv[2], int(sys.argv[3]) * 10**6
with open(path, "r+b") as file:
    shared = mmap.mmap(file.fileno(), 8)
own = int(open("/proc/self/statm").read().split()[1]) * 4096 + swapped
if swapped:
    old = mmap.mmap(-1, swapped, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, swapped, 4096):
        old[at] = 1
    old.madvise(21)  # MADV_PAGEOUT
    time.sleep(2)  # as after its start: it is known to who watches it before it begins to grow
held, begun = [], time.monotonic()
while True:
    while len(held) * 2**20 < (time.monotonic() - begun) * rate:
        held.append(b"x" * 2**20)
        shared[:] = struct.pack("q", own + len(held) * 2**20)
    time.sleep(0.001)
"""


class Grower:
    def __init__(self, home: Path, rate: float, swapped: int = 0) -> None:
        self.peak = home / "peak"
        self.peak.write_bytes(bytes(8))
        program = home / "firefox"
        if not program.exists():
            program.symlink_to(os.path.realpath(sys.executable))
        self.command = [str(program), "-ISc", GROWER, str(rate), str(self.peak), str(swapped)]

    def run(self, started: Callable[[int], None]) -> float:
        """Start it, wait for its end; megabytes above the limit at its end."""
        process = subprocess.Popen(self.command)
        started(process.pid)
        return self.end(process)

    def end(self, process: subprocess.Popen[bytes]) -> float:
        try:
            process.wait(120)
        finally:
            process.kill()
            process.wait()
        return self.above()

    def above(self) -> float:
        with self.peak.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
            return float(struct.unpack("q", shared[:])[0]) / 1e6 - LIMIT_MB


def watchdog(home: Path, rate: float, swapped: int = 0) -> float:
    config = home / "servermonitoring.toml"
    config.write_text(
        f'[state]\ndirectory = "{home}/state"\n[watchdog.firefox]\ncommand = "{home}/"\n'
        f'max_memory = "{LIMIT_MB}MB"\nvalidated_within = false\n'
    )
    command = [str(Path(sys.executable).with_name("watchdog")), "watch", "--config", str(config)]
    environment = {**os.environ, "WATCHDOG_VALIDATED_DIR": str(home / "validated")}
    watching = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    try:
        time.sleep(1)
        return Grower(home, rate, swapped).run(lambda _pid: None)
    finally:
        watching.terminate()
        watching.wait()


def monit(home: Path, rate: float) -> float:
    grower, pidfile, control = Grower(home, rate), home / "pid", home / "monitrc"
    pidfile.unlink(missing_ok=True)
    control.write_text(
        f"set daemon 1\nset pidfile {home}/monit.pid\nset statefile {home}/monit.state\n"
        f"set idfile {home}/monit.id\n"
        f"set log {home}/monit.log\n"
        f"check process grower with pidfile {pidfile}\n"
        f"  if total memory > {LIMIT_MB / 1.048576:.0f} MB "
        f"then exec \"/bin/sh -c 'kill -9 $(cat {pidfile})'\"\n"
    )
    control.chmod(0o700)
    daemon = subprocess.Popen(["monit", "-I", "-c", str(control)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        return grower.run(lambda pid: pidfile.write_text(f"{pid}\n") and None)
    finally:
        daemon.terminate()
        daemon.wait()


def memmon(home: Path, rate: float) -> float:
    """Let supervisord start the grower itself, as it has to; its end is sent as a signal to the pid it gives."""
    grower, configuration = Grower(home, rate), home / "supervisord.conf"
    script = home / "grow.sh"
    script.write_text(f"#!/bin/sh\nexec {grower.command[0]} {home}/grower.py {rate} {grower.peak} 0\n")
    script.chmod(0o755)
    (home / "grower.py").write_text(GROWER)
    configuration.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={home}/s.log\npidfile={home}/s.pid\n"
        f"[unix_http_server]\nfile={home}/s.sock\n[supervisorctl]\nserverurl=unix://{home}/s.sock\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = "
        "supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[program:grower]\ncommand={script}\nautorestart=false\nstartsecs=0\nstopwaitsecs=1\nautostart=true\n"
        f"[eventlistener:memmon]\ncommand={os.environ['MEMMON']} -p grower={LIMIT_MB / 1.048576:.0f}MB\n"
        "events=TICK_5\n"
    )
    daemon = subprocess.Popen(
        ["supervisord", "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return _restarted(grower, daemon)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()


def _restarted(grower: Grower, daemon: subprocess.Popen[bytes]) -> float:
    """Return the peak in MB above the limit: it is over when the size falls, since memmon restarts what it kills."""
    highest, ends_at = float("-inf"), time.monotonic() + 60
    while time.monotonic() < ends_at and daemon.poll() is None:
        above = grower.above()
        if highest > 0 and above < highest - 50:
            return highest
        highest = max(highest, above)
        time.sleep(0.005)
    return highest


def peers() -> dict[str, Callable[[Path, float], float]]:
    found: dict[str, Callable[[Path, float], float]] = {"watchdog": watchdog}
    if free_swap() > SWAPPED_MB + 50:
        found["watchdog, swap"] = into_swap
    if shutil.which("monit"):
        found["monit, 1 s"] = monit
    if shutil.which("supervisord") and os.environ.get("MEMMON"):
        found["memmon, TICK_5"] = memmon
    for name in {"watchdog, swap", "monit, 1 s", "memmon, TICK_5"} - found.keys():
        print(f"missing: {name}")
    return found


def into_swap(home: Path, rate: float) -> float:
    return watchdog(home, rate, SWAPPED_MB)


def free_swap() -> int:
    """Return the megabytes of it."""
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("SwapFree:"))
    return int(line.split()[1]) * 1024 // 10**6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--peer-times", type=int, default=5)
    options = parser.parse_args()
    print(f"megabytes above a limit of {LIMIT_MB} MB (its percentage): least, median, most")
    for rate in (100, 200, 500):
        own = 0.0
        for name, measure in peers().items():
            times = options.times if name.startswith("watchdog") else options.peer_times
            values = []
            for _ in range(times):
                with tempfile.TemporaryDirectory() as home:
                    values.append(measure(Path(home), rate))
            middle = statistics.median(values)
            own = own or middle
            print(
                f"{rate:4} MB/s  {name:15} {min(values):7.1f} {middle:7.1f} ({middle / LIMIT_MB:6.1%})"
                f" {max(values):7.1f}   {middle / own:6.1f} times the watchdog's",
                flush=True,
            )


if __name__ == "__main__":
    main()
