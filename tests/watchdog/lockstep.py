"""The real watchdog, scan by scan, at the times that a test gives it: a line of uptime in, the kills under way out."""

import logging
import sys
from pathlib import Path

from watchdog import clock
from watchdog.rules import Rule
from watchdog.watching import Watch


def main(command, limit, state):
    """Watch browsers with this in their command line, to be validated within and every `limit` seconds."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    set_clock(float(sys.stdin.readline()))
    rule = Rule(command=command, max_memory=None, validated_within=limit, revalidated_every=limit, grace=0.1)
    watch = Watch([rule], state)
    for line in sys.stdin:
        set_clock(float(line))
        watch.look()
        sys.stdout.write(f"{len(watch.killings)}\n")
        sys.stdout.flush()


def set_clock(now):
    """Let it be this uptime, in seconds, for the whole package."""
    clock._of_container, clock._of_kernel = (lambda: False), (lambda: now)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
