"""Runs a command and tells what it cost, its whole family included."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLE = 0.05  # seconds between two looks at the memory


@dataclass(frozen=True)
class Cost:
    """Seconds, bytes, and how the command ended."""

    wall: float
    cpu: float
    peak: int
    status: int
    output: str


def cost(command: list[str], folder: Path, limit: float = 600) -> Cost:
    """Wall and CPU seconds, and the highest resident sum, of a command and all that it starts."""
    log = folder / "output"
    started = time.monotonic()
    with log.open("w") as output:
        process = psutil.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        peak, cpu = 0, {}
        while process.poll() is None:
            if time.monotonic() - started > limit:
                process.kill()
            peak = max(peak, _look(process, cpu))
            time.sleep(_SAMPLE)
    return Cost(time.monotonic() - started, sum(cpu.values()), peak, process.returncode, log.read_text())


def _look(process: psutil.Process, cpu: dict[int, float]) -> int:
    total = 0
    for each in _family(process):
        try:
            times = each.cpu_times()
            cpu[each.pid] = times.user + times.system
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def table(rows: list[tuple[str, ...]]) -> str:
    """Columns under each other, the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
