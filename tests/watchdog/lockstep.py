"""The real watchdog, scan by scan, by the clock of a test. Each line in has a line as response.

A number is the time from now on, in seconds of uptime; the response to `scan` is the number of kills under way.
"""

import logging
import sys
from pathlib import Path

from watchdog import processes
from watchdog.policy import Rule
from watchdog.watcher import Watcher


def main(command, limit, state):
    """Watcher browsers with this in their command line, to be validated within and every `limit` seconds."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    set_clock(float(sys.stdin.readline()))
    rule = Rule(command=command, max_memory=None, validated_within=limit, revalidated_every=limit, grace=0.1)
    watch = Watcher([rule], state)
    watch.tracker.listen()
    for line in sys.stdin:
        if line == "scan\n":
            watch.scan()
        else:
            set_clock(float(line))
        sys.stdout.write(f"{len(watch.terminations)}\n")
        sys.stdout.flush()


def set_clock(now):
    """Let it be this uptime, in seconds, for the whole package."""
    processes._is_uptime_of_container, processes._uptime_of_kernel = (lambda: False), (lambda: now)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
