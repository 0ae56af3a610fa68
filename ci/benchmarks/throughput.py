"""What checks cost: of healthy websites, of silent ones, and what a run costs that has almost nothing to check.

Compared with check_http, 32 at a time, and blackbox_exporter, 64 at a time; silent websites, which accept and never
answer, all at a time. A website and a disk, with page and history, are compared with a bare pytest run of two empty
tests. CPU is of all processes of a run; so is memory, where each page counts once. Healthy ones answer after 20 ms.
Usage: .venv/bin/python ci/benchmarks/throughput.py [--healthy COUNT] [--silent COUNT...] [--timeout SECONDS]
                                                    [--rounds COUNT]
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from checker import Checker, checkers, expect
from measuring import Cost, cost, prepare, pytest, suite, table
from website import Website

from tests.suite import table as toml

DELAY = 0.020  # seconds
WALL, CPU = 2.2, 2.0  # targets for healthy websites: seconds for all, milliseconds for each
SILENT = {200: 5.7, 1000: 7.0}  # targets for silent ones, with a timeout of 5 s: seconds
MEMORY = 80.0  # target for the first of them: MB
FIXED = 1.3  # target for website and disk: times a bare run
MOST_PROCESSES = 200  # check_http has one for each target
BARE = "def test_one(): pass\ndef test_two(): pass\n"
Row = tuple[str, ...]
Found = dict[str, Checker | None]


def main(options: argparse.Namespace) -> None:
    prepare()
    rows: list[Row] = []
    try:
        with ExitStack() as stack:
            rows.extend(measure(stack, options))
    finally:
        print(table(rows))


def measure(stack: ExitStack, options: argparse.Namespace) -> Iterator[Row]:
    found = checkers(stack, options.timeout)
    website, silent = (stack.enter_context(Website(delay)) for delay in (DELAY, float("inf")))
    yield "", *found, "target", "reached"
    yield from healthy(found, website.url, options.healthy, min(options.rounds, 3))
    for count in options.silent:
        yield from silence(found, silent.url, count, first=count == options.silent[0])
    yield fixed(options.rounds)


def healthy(found: Found, url: str, count: int, rounds: int) -> Iterator[Row]:
    """Measure them in rounds in which they take turns."""
    costs: list[list[Cost]] = [[] for _ in found]
    for _ in range(rounds):
        for each, checker in zip(costs, found.values(), strict=True):
            if checker:
                each.append(expect(checker.check(url, count), count))
    walls = [statistics.median(cost.wall for cost in each) if each else None for each in costs]
    yield row(f"{count} healthy websites, wall", walls, WALL, "s", 2)
    cpu = [statistics.median(cost.cpu for cost in each) * 1000 / count if each else None for each in costs]
    yield row(f"{count} healthy websites, CPU for each", cpu, CPU, "ms", 2)


def silence(found: Found, url: str, count: int, *, first: bool) -> Iterator[Row]:
    """Measure time, and memory of the first count only, as its samples take processor time."""
    costs: list[Cost | None] = []
    for name, checker in found.items():
        fits = name != "check_http" or count <= MOST_PROCESSES
        spent = checker.check(url, count, count, memory=first) if checker and fits else None
        costs.append(spent and expect(spent, count, passed=False))
    yield row(f"{count} silent websites, wall", [each and each.wall for each in costs], SILENT.get(count), "s", 1)
    if first:
        yield row(f"{count} silent websites, memory", [each and each.peak / 1e6 for each in costs], MEMORY, "MB", 0)


def fixed(rounds: int) -> Row:
    """Compare website and disk with a bare run: the medians' ratio, after one of each that reads all from the disk."""
    ours, bare = [], []
    with Website(0) as website, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").touch()
        (folder / "test_bare.py").write_text(BARE)
        checks = toml("website", "home", url=website.url) + toml("disk", "root", path="/", max_used="100 %")
        for _ in range(rounds + 1):
            bare.append(cost(pytest("test_bare.py"), folder, memory=False))
            ours.append(suite(checks, "healthchecks", memory=False))
    for each in (*bare, *ours):
        if each.status not in (0, 1):  # a full disk of this machine changes nothing
            raise RuntimeError(each.output[-3000:])
    wall, least = (statistics.median(each.wall for each in costs[1:]) for costs in (ours, bare))
    label = f"website and disk, {wall:.2f} s, to two empty tests, {least:.2f} s"
    return row(label, [wall / least, None, None], FIXED, "x", 2)


def row(label: str, values: list[float | None], target: float | None, unit: str, digits: int) -> Row:
    shown = ("-" if value is None else f"{value:.{digits}f} {unit}" for value in values)
    if target is None:
        return label, *shown, "-", "-"
    return label, *shown, f"{target:g} {unit}", "yes" if (values[0] or 0) <= target else "no"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--healthy", type=int, default=1000)
    parser.add_argument("--silent", type=int, nargs="+", default=list(SILENT))
    parser.add_argument("--timeout", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


if __name__ == "__main__":
    main(arguments())
