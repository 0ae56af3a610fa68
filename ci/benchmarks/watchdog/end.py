"""How long after its grace a browser that does not end by itself is gone with all its processes.

A stand-in of four processes that are deaf to SIGTERM: running, and stopped whole (SIGSTOP). The watchdog and
coreutils' `timeout --kill-after`, which ends it at a fixed time, and knows the processes of one group only.
"""

import argparse
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "ci/benchmarks"), str(ROOT / "tests/watchdog")]

from kennel import Kennel, Watching, process_tree  # noqa: E402 - found by the line above
from measuring import table  # noqa: E402 - the same

GRACE = 0.5  # seconds
DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if all(os.fork() for _ in range(3)):
    signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"%f\\n" % time.monotonic()))
    os.write(1, b"ready\\n")
while True:
    time.sleep(600)
"""
Start = Callable[[Kennel], "subprocess.Popen[str]"]


def watchdog(kennel: Kennel) -> "subprocess.Popen[str]":
    Watching(kennel, f"validated_within = 2\ngrace = {GRACE}").said("matches no process")
    return kennel.stand_in(DEAF, stdout=subprocess.PIPE, text=True)


def timeout(kennel: Kennel) -> "subprocess.Popen[str]":
    command = ["timeout", f"--kill-after={GRACE}", "2", sys.executable, "-ISc", DEAF]
    return kennel.start(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def late(start: Start, *, stopped: bool) -> float:
    """Return the seconds from the end of its grace to the end of its last process."""
    with tempfile.TemporaryDirectory() as home:
        kennel = Kennel(Path(home))
        try:
            process = start(kennel)
            process.stdout.readline()
            pids = [pid for pid in process_tree(process.pid) if Path(f"/proc/{pid}/comm").read_text() != "timeout\n"]
            ends = [os.pidfd_open(pid) for pid in pids]
            for pid in pids if stopped else ():
                os.kill(pid, signal.SIGSTOP)
            started = float(process.stdout.readline())
            for each in ends:
                select.select([each], [], [])
                os.close(each)
            return time.monotonic() - started - GRACE
        finally:
            kennel.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    rows = [("seconds after the grace", "least", "median", "most")]
    for name, start in {"watchdog": watchdog, "timeout --kill-after": timeout}.items():
        if not shutil.which(name.split()[0], path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"):
            print(f"missing: {name}")
            continue
        for stopped in (False, True):
            values = [late(start, stopped=stopped) for _ in range(times)]
            figures = min(values), statistics.median(values), max(values)
            rows.append((f"{name}, {'stopped' if stopped else 'deaf'}", *(f"{each:.3f}" for each in figures)))
    print(table(rows))


if __name__ == "__main__":
    main()
