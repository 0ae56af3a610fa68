"""Three checkers of websites: this project, check_http of monitoring-plugins, and Prometheus' blackbox_exporter."""

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import meter
import psutil
from measuring import Check, Cost, cost, suite

from tests.servers.server import HOST, Server, ends_with_parent, until
from tests.suite import table as toml

CHECK_HTTP, BLACKBOX_EXPORTER = (
    shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/lib/nagios/plugins")
    for name in ("check_http", "prometheus-blackbox-exporter")
)
_SAMPLE = 0.1  # seconds between two samples of the memory


class Checker(Protocol):
    def check(self, url: str, count: int, at_once: int | None = None, *, memory: bool = False) -> Cost:
        """Check the URL `count` times, `at_once` at a time (None: as many as the checker's default)."""


def checkers(stack: ExitStack, timeout: float) -> dict[str, Checker | None]:
    """Return each by its name, None where it is not installed; what they need ends with the stack."""
    return {
        "servermonitoring": Suite(timeout),
        "check_http": CheckHttp(timeout) if CHECK_HTTP else None,
        "blackbox_exporter": stack.enter_context(BlackboxExporter(timeout)) if BLACKBOX_EXPORTER else None,
    }


def expect(cost: Cost, count: int, *, passed: bool = True) -> Cost:
    """Return the cost of a run in which all checks had this result. Raises RuntimeError for any other."""
    if [each.passed for each in cost.checks] != [passed] * count:
        right = sum(each.passed == passed for each in cost.checks)
        raise RuntimeError(f"{right} of {count} checks {'passed' if passed else 'failed'}\n{cost.output[-3000:]}")
    return cost


class Suite:
    """`pytest healthchecks` with a table for each website, always all at once. `timeout`: seconds."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    def check(self, url: str, count: int, at_once: int | None = None, *, memory: bool = False) -> Cost:  # noqa: ARG002
        tables = (toml("website", f"n{number}", url=url, timeout=self.timeout) for number in range(count))
        spent = suite("".join(tables), "healthchecks", memory=memory)
        return replace(spent, checks=[each for each in spent.checks if each.name == "website_access"])


class CheckHttp:
    """A process for each check, started by xargs, 32 at a time. `timeout`: seconds, which are rounded."""

    def __init__(self, timeout: float) -> None:
        self.timeout = max(1, round(timeout))

    def check(self, url: str, count: int, at_once: int | None = None, *, memory: bool = False) -> Cost:
        port = url.rstrip("/").rpartition(":")[2]
        words = [CHECK_HTTP or "", "-H", HOST, "-p", port, "-t", str(self.timeout), "-u"]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "paths").write_text("/\n" * count)
            xargs = ["xargs", "-a", str(folder / "paths"), "-n", "1", "-P", str(at_once or 32)]
            spent = cost([*xargs, *words], folder, memory=memory)
        return replace(spent, checks=list(self._parse(spent.output)))

    def _parse(self, output: str) -> Iterator[Check]:
        for line in output.splitlines():
            found = re.search(r"\btime=([\d.]+)s", line)
            yield Check(line.startswith("HTTP OK"), float(found[1]) if found else self.timeout)


class BlackboxExporter(Server):
    """One process for all checks, 64 at a time. `timeout`: seconds."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._peak = 0
        module = f"prober: http, timeout: {timeout}s, http: {{preferred_ip_protocol: ip4}}"
        (self.directory / "blackbox.yml").write_text(f"modules: {{website: {{{module}}}}}\n")

    def command(self) -> list[str]:
        options = f"--config.file={self.directory}/blackbox.yml", f"--web.listen-address={HOST}:0"
        return [*ends_with_parent("KILL"), BLACKBOX_EXPORTER or "", *options]

    def await_ready(self) -> None:
        found = until(self._find_port, what="blackbox_exporter's port")
        self.port = int(found[1])

    def _find_port(self) -> re.Match[str] | None:
        assert self.process
        if self.process.poll() is not None:
            raise RuntimeError("it ended before it was ready")
        return re.search(rf'"?address"?="?{re.escape(HOST)}:(\d+)', self.log)

    def check(self, url: str, count: int, at_once: int | None = None, *, memory: bool = False) -> Cost:
        self._peak, started, before = 0, time.monotonic(), self._cpu()
        checks = asyncio.run(self._check(url, count, at_once or 64, memory=memory))
        return Cost(time.monotonic() - started, self._cpu() - before, self._peak, 0, self.log, checks)

    async def _check(self, url: str, count: int, at_once: int, *, memory: bool) -> list[Check]:
        left = iter(range(count))

        async def work() -> list[Check]:
            return [await self._probe(url) for _ in left]

        sampler = asyncio.create_task(self._sample()) if memory else None
        found = await asyncio.gather(*(work() for _ in range(min(at_once, count))))
        if sampler:
            sampler.cancel()
        return [check for checks in found for check in checks]

    async def _sample(self) -> None:
        while True:
            self._peak = max(self._peak, meter.memory(self.pid))
            await asyncio.sleep(_SAMPLE)

    async def _probe(self, url: str) -> Check:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(f"GET /probe?module=website&target={url} HTTP/1.0\r\n\r\n".encode())
        metrics = dict(re.findall(r"^(probe_\w+) (\S+)$", (await reader.read()).decode(), re.MULTILINE))
        writer.close()
        return Check(float(metrics["probe_success"]) == 1, float(metrics["probe_duration_seconds"]))

    def _cpu(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)
