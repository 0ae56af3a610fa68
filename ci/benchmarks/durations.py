"""The duration that is reported of a website that answers after 20 ms, among as many targets at once.

Compared with check_http, 32 at a time, and blackbox_exporter, 64 at a time. The first checks of each are not counted.
Usage: .venv/bin/python ci/benchmarks/durations.py [--rounds ROUNDS] [COUNT...]
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from checker import Checker, checkers, expect
from measuring import percentile, prepare, table
from website import Website

COUNTS = (1, 50, 200, 1000)
DELAY = 0.020  # seconds
TIMEOUT = 10.0  # seconds
FIGURES = (("median", 0.5, 24), ("p95", 0.95, 35))  # name, share, target in ms


def main(counts: list[int], rounds: int | None) -> None:
    prepare()
    with ExitStack() as stack:
        website = stack.enter_context(Website(DELAY))
        found = checkers(stack, TIMEOUT)
        rows = [("websites", "", *found, "target", "reached")]
        try:
            for count in counts:
                durations = measure(found, website.url, count, rounds or default_rounds(count))
                rows += [row(count, durations, *figure) for figure in FIGURES]
        finally:
            print(table(rows))


def measure(found: dict[str, Checker | None], url: str, count: int, rounds: int) -> list[list[float]]:
    """Return the durations of each checker in ms, of rounds in which they take turns."""
    durations: list[list[float]] = [[] for _ in found]
    for number in range(rounds + 1):
        for each, checker in zip(durations, found.values(), strict=True):
            if checker and number == 0:
                checker.check(url, min(count, 10))
            elif checker:
                each += [1000 * check.duration for check in expect(checker.check(url, count), count).checks]
    return durations


def default_rounds(count: int) -> int:
    """Return more rounds for fewer targets, whose figures mean little otherwise."""
    return min(15, max(3, 200 // count))


def row(count: int, durations: list[list[float]], name: str, share: float, target: float) -> tuple[str, ...]:
    values = [percentile(each, share) if each else None for each in durations]
    shown = (f"{value:.0f} ms" if value is not None else "-" for value in values)
    reached = "yes" if (values[0] or 0) <= target else "no"
    return f"{count}", name, *shown, f"{target} ms", reached


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", nargs="*", type=int, default=COUNTS)
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    main(list(options.counts), options.rounds)
