"""Runs a command and measures its cost, all its processes included."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLE = 0.05  # seconds between two samples of the memory


@dataclass(frozen=True)
class Cost:
    """Seconds, bytes, and how the command ended."""

    wall: float
    cpu: float
    peak: int
    status: int
    output: str


def pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments]


def suite(toml: str, module: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Of a run of one module of checks, in a new folder, with a state of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = f'[state]\ndirectory = "{folder}/state"\n[dashboard]\ndirectory = "{folder}/html"\n'
        (folder / "servermonitoring.toml").write_text(settings + toml)
        (folder / "pytest.ini").touch()
        return cost(pytest("--pyargs", module), folder, environment=environment)


def cost(command: list[str], folder: Path, limit: float = 600, environment: Mapping[str, str] | None = None) -> Cost:
    """Wall and CPU seconds, and the highest resident sum, of a command and all that it starts."""
    variables = {**os.environ, **(environment or {})}
    log = folder / "output"
    started = time.monotonic()
    with log.open("w") as output:
        process = psutil.Popen(command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT)
        peak, cpu = 0, {}
        while process.poll() is None:
            if time.monotonic() - started > limit:
                process.kill()
            peak = max(peak, _read_usage(process, cpu))
            time.sleep(_SAMPLE)
    return Cost(time.monotonic() - started, sum(cpu.values()), peak, process.returncode, log.read_text())


def _read_usage(process: psutil.Process, cpu: dict[int, float]) -> int:
    total = 0
    for each in _tree(process):
        try:
            times = each.cpu_times()
            cpu[each.pid] = times.user + times.system
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _tree(process: psutil.Process) -> list[psutil.Process]:
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
