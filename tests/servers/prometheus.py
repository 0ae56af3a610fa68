"""A Prometheus of our own, with a node_exporter that reads one directory of text files, and an Alertmanager."""

import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.servers.server import HOST, Server, free_port, is_free, program, until

CONFIGURATION = """
global: {{scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: {interval}}}
rule_files: [{rules}]
scrape_configs: [{job}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: [{alertmanagers}]}}]}}]}}
"""


class NodeExporter(Server):
    """Serves the metrics of `textfiles`."""

    def __init__(self, textfiles: Path) -> None:
        self.program = program("prometheus-node-exporter")
        super().__init__()
        self.textfiles, self.port = textfiles, free_port()

    @property
    def job(self) -> str:
        """Of Prometheus' scrape_configs."""
        return f'{{job_name: node, static_configs: [{{targets: ["{HOST}:{self.port}"]}}]}}'

    def command(self) -> list[str]:
        options = "--collector.disable-defaults", "--collector.textfile"
        return [self.program, *options, f"--collector.textfile.directory={self.textfiles}",
                f"--web.listen-address={HOST}:{self.port}"]  # fmt: skip

    def await_ready(self) -> None:
        until(lambda: not is_free(self.port), what="node_exporter")


class Alertmanager(Server):
    """Sends its notifications where `configuration` says."""

    def __init__(self, configuration: str) -> None:
        self.program = program("prometheus-alertmanager")
        super().__init__()
        self.port = free_port()
        (self.directory / "alertmanager.yml").write_text(configuration)

    def command(self) -> list[str]:
        return [self.program, f"--config.file={self.directory}/alertmanager.yml",
                f"--storage.path={self.directory}/data", f"--web.listen-address={HOST}:{self.port}",
                "--cluster.listen-address="]  # fmt: skip

    def await_ready(self) -> None:
        until(lambda: not is_free(self.port), what="alertmanager")


class Prometheus(Server):
    """Scrapes one job, and evaluates its rules as often: three times a second, or once in `interval`."""

    def __init__(self, job: str, rules: str, alertmanager: int | None = None, interval: str = "300ms") -> None:
        self.program = program("prometheus")
        super().__init__()
        self.port = free_port()
        (self.directory / "rules.yml").write_text(rules)
        text = CONFIGURATION.format(
            rules=self.directory / "rules.yml",
            job=job,
            interval=interval,
            alertmanagers=f'"{HOST}:{alertmanager}"' if alertmanager else "",
        )
        (self.directory / "prometheus.yml").write_text(text)

    def command(self) -> list[str]:
        return [self.program, f"--config.file={self.directory}/prometheus.yml",
                f"--storage.tsdb.path={self.directory}/data", f"--web.listen-address={HOST}:{self.port}"]  # fmt: skip

    def await_ready(self) -> None:
        until(self._is_ready, 300, what="prometheus")

    def firing(self) -> dict[str, str]:
        """The alerts that are raised now: their summaries by name."""
        with urllib.request.urlopen(f"http://{HOST}:{self.port}/api/v1/alerts", timeout=60) as answer:
            alerts: list[dict[str, Any]] = json.load(answer)["data"]["alerts"]
        raised = [each for each in alerts if each["state"] == "firing"]
        return {each["labels"]["alertname"]: each["annotations"]["summary"] for each in raised}

    def query(self, text: str) -> list[float]:
        """The values that a query in PromQL has now."""
        url = f"http://{HOST}:{self.port}/api/v1/query?{urlencode({'query': text})}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return [float(each["value"][1]) for each in json.load(answer)["data"]["result"]]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/-/ready", timeout=60) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
