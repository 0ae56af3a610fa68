"""A fleet in front of a real Prometheus and Alertmanager, with the rules and the configuration of deploy/prometheus/.

One process stands for the servers. First: series, memory of Prometheus, time of an evaluation of all rules.
Then four incidents at once: a website that all servers check is down, a disk is full on every server, one on a single
server flaps, a server is gone. For each: the time to the first notification, and how many were sent until it was over.
Usage: .venv/bin/python ci/benchmarks/fleet.py [--hosts COUNT] [--checks COUNT] [--interval SECONDS]
"""

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from measuring import table

from tests import ROOT
from tests.servers.fleet import Fleet
from tests.servers.inbox import Inbox
from tests.servers.prometheus import Alertmanager, Prometheus
from tests.servers.server import HOST, until

FOLDER = ROOT / "deploy/prometheus"
MEMORY, EVALUATION, NOTIFICATIONS = 1.5, 2.0, 3  # targets: GB, seconds, of each incident
FLAPS = 3
FLAP = 150  # seconds that a flapping check fails, and passes
LONGEST = 1200.0  # seconds for what has to happen
SETTLED = 360.0  # seconds without a notification: a group is notified every five minutes
Row = tuple[str, ...]


@dataclass(frozen=True)
class Incident:
    """What happens, and the labels of the group of alerts that notifications are about."""

    name: str
    labels: Mapping[str, str]


INCIDENTS = (
    Incident("a website is down", {"alertname": "SharedCheckIsDown", "check": "website_access", "target": "home"}),
    Incident("a disk is full everywhere", {"alertname": "HealthCheckIsDown", "check": "disk_usage", "target": "disk1"}),
    Incident(
        f"a disk flaps, {FLAPS} times", {"alertname": "HealthCheckIsDown", "check": "disk_usage", "target": "disk2"}
    ),
    Incident("a server is gone", {"alertname": "ServerIsDown"}),
)


class Monitored:
    """Servers, Prometheus and Alertmanager."""

    def __init__(self, stack: ExitStack, options: argparse.Namespace) -> None:
        self.interval: float = options.interval
        self.inbox = Inbox()
        stack.callback(self.inbox.close)
        configuration = self.inbox.configure((FOLDER / "alertmanager.yml").read_text())
        alertmanager = stack.enter_context(Alertmanager(configuration))
        self.fleet = stack.enter_context(Fleet(options.hosts, options.checks))
        rules = (FOLDER / "rules.yml").read_text()
        self.prometheus = stack.enter_context(
            Prometheus(self.fleet.job, rules, alertmanager.port, f"{options.interval}s")
        )

    def wait(self, condition: Callable[[], object], what: str) -> None:
        until(condition, LONGEST, what=what, every=1.0)

    def is_firing(self) -> bool:
        return bool(self.prometheus.query('count(ALERTS{alertname!~"ErrorBudget.*",alertstate="firing"})'))


def main(options: argparse.Namespace) -> None:
    rows: list[Row] = [("", "measured", "target", "reached")]
    try:
        with ExitStack() as stack:
            rows.extend(measure(Monitored(stack, options), options))
    finally:
        print(table(rows))


def measure(monitored: Monitored, options: argparse.Namespace) -> Iterator[Row]:
    expected = options.hosts * options.checks
    monitored.wait(lambda: monitored.prometheus.query("count(healthcheck_up)") == [expected], "the first scrape")
    time.sleep(3 * monitored.interval)
    yield "series", f"{monitored.prometheus.query('sum(scrape_samples_post_metric_relabeling)')[0]:,.0f}", "", ""
    seconds = evaluation(monitored.prometheus)
    yield "evaluation of all rules", f"{seconds:.2f} s", f"{EVALUATION:g} s", _yes(seconds <= EVALUATION)
    yield from notified(monitored)
    memory = psutil.Process(monitored.prometheus.pid).memory_info().rss / 1e9
    yield "memory of Prometheus", f"{memory:.2f} GB", f"{MEMORY:g} GB", _yes(memory <= MEMORY)


def evaluation(prometheus: Prometheus) -> float:
    """Seconds of the last evaluation of all groups, one after another."""
    with urllib.request.urlopen(f"http://{HOST}:{prometheus.port}/api/v1/rules", timeout=60) as response:
        return sum(float(each["evaluationTime"]) for each in json.load(response)["data"]["groups"])


def notified(monitored: Monitored) -> Iterator[Row]:
    """Of incidents that begin together; all but the flapping one last until it has flapped."""
    hosts = monitored.fleet.hosts
    began = time.monotonic()
    for _ in range(FLAPS):
        for flapping in (["disk2"], []):
            failing = {host: ["home", "disk1", *(flapping if host == hosts[1] else [])] for host in hosts}
            monitored.fleet.report(failing=failing, gone=hosts[:1])
            time.sleep(FLAP)
    monitored.fleet.report()
    monitored.wait(lambda: not monitored.is_firing(), "the end of the incidents")
    monitored.wait(monitored.inbox.is_quiet_for(SETTLED), "the last notification")
    for incident in INCIDENTS:
        sent = [each for each in monitored.inbox.received if each.document["groupLabels"] == incident.labels]
        firing = [each for each in sent if each.document["status"] == "firing"]
        first = f"{firing[0].time - began:.0f} s to the first" if firing else "none"
        text = f"{first} of {len(firing)} notifications, {len(sent) - len(firing)} of its end"
        yield incident.name, text, f"{NOTIFICATIONS} notifications", _yes(1 <= len(firing) <= NOTIFICATIONS)


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "no"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--checks", type=int, default=50)
    parser.add_argument("--interval", type=int, default=30, help="of scrapes and evaluations, in seconds")
    main(parser.parse_args())
