"""Runs a command and measures its cost, all its processes included."""

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_METER = Path(__file__).with_name("meter.py")
_SAMPLE = 0.1  # seconds between two samples of the memory


@dataclass(frozen=True)
class Check:
    """Whether it passed, its duration in seconds as its checker reports it, and what it checked."""

    passed: bool
    duration: float
    name: str = ""


@dataclass(frozen=True)
class Cost:
    """Seconds, bytes (each page of memory counted once), how the command ended, and the checks that it made."""

    wall: float
    cpu: float
    peak: int
    status: int
    output: str
    checks: Sequence[Check] = ()


def pytest(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments]


def suite(toml: str, module: str, environment: Mapping[str, str] | None = None, *, memory: bool = True) -> Cost:
    """Return the cost of a run of one module of checks, in a new folder, with a state of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = f'[state]\ndirectory = "{folder}/state"\n[dashboard]\ndirectory = "{folder}/html"\n'
        (folder / "servermonitoring.toml").write_text(settings + toml)
        (folder / "pytest.ini").touch()
        spent = cost(pytest("--pyargs", module), folder, environment=environment, memory=memory)
        return replace(spent, checks=_read_checks(folder / "html" / "status.json"))


def _read_checks(path: Path) -> list[Check]:
    """Return nothing where the run ended before it wrote the file."""
    if not path.exists():
        return []
    checks = json.loads(path.read_text())["checks"]
    return [Check(each["status"] == "ok", each["duration"], each["check"]) for each in checks]


def cost(
    command: Sequence[str],
    folder: Path,
    limit: float = 600,
    environment: Mapping[str, str] | None = None,
    *,
    memory: bool = True,
) -> Cost:
    """Return the cost of a command and all that it starts, which is killed after `limit` seconds.

    Samples of the memory take some processor time away from the command: without them the peak is 0.
    """
    log = folder / "output"
    meter = [sys.executable, "-IS", str(_METER), str(limit), str(_SAMPLE if memory else 0), str(log)]
    with subprocess.Popen(
        [*meter, *command], cwd=folder, env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        figures = process.stdout.read()
    return Cost(**json.loads(figures), output=log.read_text(errors="replace"))


def prepare() -> None:
    """Let what was started end when this program is interrupted, and open as many connections as the system allows."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all is not above, by linear interpolation; 0.5 is the median."""
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1] if values[1:] else values[0]


def table(rows: list[tuple[str, ...]]) -> str:
    """Return columns under each other, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
