"""A fleet in front of a real Prometheus and Alertmanager, with the rules and the configuration of deploy/prometheus/.

One process stands for the servers. After two scrapes: series, memory of Prometheus, time of an evaluation of all rules.
Then incidents, one after another: a website that all servers check is down, the same one flaps, a disk is full on every
server, a server is gone. For each: the time to the first notification, and how many were sent until it was over.
Usage: .venv/bin/python ci/benchmarks/fleet.py [--hosts COUNT] [--checks COUNT] [--interval SECONDS]
"""

import argparse
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
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
LONGEST = 1200.0  # seconds for what has to happen
SETTLED = 360.0  # seconds without a notification: a group is notified every five minutes
Row = tuple[str, ...]


@dataclass(frozen=True)
class Incident:
    """What the servers report while it lasts, and how often it comes."""

    name: str
    failing: Mapping[str, Sequence[str]]
    gone: Sequence[str] = ()
    times: int = 1


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
    hosts = monitored.fleet.hosts
    for incident in (
        Incident("a website is down everywhere", {host: ["home"] for host in hosts}),
        Incident(f"it flaps, {FLAPS} times", {host: ["home"] for host in hosts}, times=FLAPS),
        Incident("a disk is full on every server", {host: ["disk1"] for host in hosts}),
        Incident("a server is gone", {}, hosts[:1]),
    ):
        yield notified(monitored, incident)
    memory = psutil.Process(monitored.prometheus.pid).memory_info().rss / 1e9
    yield "memory of Prometheus", f"{memory:.2f} GB", f"{MEMORY:g} GB", _yes(memory <= MEMORY)


def evaluation(prometheus: Prometheus) -> float:
    """Seconds of the last evaluation of all groups, one after another."""
    with urllib.request.urlopen(f"http://{HOST}:{prometheus.port}/api/v1/rules", timeout=60) as response:
        return sum(float(each["evaluationTime"]) for each in json.load(response)["data"]["groups"])


def notified(monitored: Monitored, incident: Incident) -> Row:
    """Of an incident that lasts until it was alerted, or for two minutes each time it comes."""
    before, began, first = len(monitored.inbox.notifications), time.monotonic(), 0.0

    def has_arrived() -> bool:
        return len(monitored.inbox.notifications) > before

    for _ in range(incident.times):
        monitored.fleet.report(failing=incident.failing, gone=incident.gone)
        if incident.times > 1:
            time.sleep(120)
        monitored.wait(has_arrived, "a notification")
        first = first or time.monotonic() - began
        monitored.fleet.report()
        monitored.wait(lambda: not monitored.is_firing(), "the end of the incident")
    sent = count_settled(monitored.inbox)
    notifications = [each for each in monitored.inbox.notifications[before:sent] if each["status"] == "firing"]
    resolved = sent - before - len(notifications)
    text = f"{first:.0f} s to the first of {len(notifications)} notifications, {resolved} of its end"
    most = NOTIFICATIONS * incident.times
    return incident.name, text, f"{most} notifications", _yes(len(notifications) <= most)


def count_settled(inbox: Inbox) -> int:
    """Return how many notifications there are when none has come for a while."""
    count, since = len(inbox.notifications), time.monotonic()
    while time.monotonic() - since < SETTLED:
        time.sleep(1)
        if len(inbox.notifications) > count:
            count, since = len(inbox.notifications), time.monotonic()
    return count


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "no"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--checks", type=int, default=50)
    parser.add_argument("--interval", type=int, default=30, help="of scrapes and evaluations, in seconds")
    main(parser.parse_args())
