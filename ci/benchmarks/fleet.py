"""A fleet in front of a real Prometheus and Alertmanager, with the rules and the configuration of deploy/prometheus/.

One process stands for the servers. Four incidents begin together: a website that all servers check is down, a disk is
full on every server, one on a single server flaps, a server is gone. For each: the time to the first notification, and
how many were sent until it was over. Meanwhile: series, memory of Prometheus, its CPU, evaluation of all rules.
Servers check every ten minutes. Here a check fails for two minutes and passes for one, to end within a quarter of an
hour; `keep_firing_for` of the rules is shortened in proportion. All else is as it is shipped.
Usage: .venv/bin/python ci/benchmarks/fleet.py [--hosts COUNT] [--checks COUNT] [--interval SECONDS] [--rules FILE]
"""

import argparse
import re
import statistics
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from measuring import table

from tests import ROOT
from tests.servers.fleet import Fleet
from tests.servers.inbox import Inbox, Notification
from tests.servers.prometheus import Alertmanager, Prometheus
from tests.servers.server import HOST, until

FOLDER = ROOT / "deploy/prometheus"
MEMORY, EVALUATION, NOTIFICATIONS = 1.5, 2.0, 3  # targets: GB, seconds, of each incident
FLAPS, FAILING, PASSING = 3, 120, 60  # how often a check flaps; seconds
KEPT = 120  # seconds, for keep_firing_for: longer than PASSING, a scrape and an evaluation
LONGEST = 1200.0  # seconds for what has to happen
SAMPLE = 3.0  # seconds between two samples of Prometheus
_EVALUATION = re.compile(
    r'^prometheus_rule_group_(last_duration|last_evaluation_timestamp)_seconds\{rule_group=".*;(.+)"\} (\S+)$',
    re.MULTILINE,
)
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


class Load:
    """What Prometheus uses, sampled while it works: memory at most, and each evaluation of each group of rules."""

    def __init__(self, prometheus: Prometheus) -> None:
        self.prometheus = prometheus
        self.process = psutil.Process(prometheus.pid)
        self.memory = 0
        self.evaluations: dict[str, dict[str, float]] = defaultdict(dict)  # seconds by group and time
        self.ended = threading.Event()
        self.began, self.cpu_before = time.monotonic(), self._cpu()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self.ended.wait(SAMPLE):
            self.memory = max(self.memory, self.process.memory_info().rss)
            url = f"http://{HOST}:{self.prometheus.port}/metrics"
            with urllib.request.urlopen(url, timeout=60) as response:
                found = {(name, group): value for name, group, value in _EVALUATION.findall(response.read().decode())}
            for (name, group), value in found.items():
                if name == "last_duration":
                    self.evaluations[group][found["last_evaluation_timestamp", group]] = float(value)

    def _cpu(self) -> float:
        used = self.process.cpu_times()
        return used.user + used.system

    @property
    def cpu(self) -> float:
        """Cores."""
        return (self._cpu() - self.cpu_before) / (time.monotonic() - self.began)

    def evaluation(self, typical: Callable[[list[float]], float]) -> float:
        """Return the seconds of all groups together, without the first evaluation of each, before the first scrapes."""
        return sum(typical([*each.values()][1:] or [*each.values()]) for each in self.evaluations.values())


class Monitored:
    """Servers, Prometheus and Alertmanager."""

    def __init__(self, stack: ExitStack, options: argparse.Namespace) -> None:
        self.interval: float = options.interval
        self.inbox = Inbox()
        stack.callback(self.inbox.close)
        configuration = self.inbox.configure((FOLDER / "alertmanager.yml").read_text())
        alertmanager = stack.enter_context(Alertmanager(configuration))
        self.fleet = stack.enter_context(Fleet(options.hosts, options.checks))
        rules = re.sub(r"keep_firing_for: \w+", f"keep_firing_for: {KEPT}s", options.rules.read_text())
        self.prometheus = stack.enter_context(
            Prometheus(self.fleet.job, rules, alertmanager.port, f"{options.interval}s")
        )
        self.load = Load(self.prometheus)
        stack.callback(self.load.ended.set)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        until(condition, LONGEST, what=what, every=1.0)

    def sent(self, incident: Incident) -> list[Notification]:
        return [each for each in self.inbox.received if each.document["groupLabels"] == incident.labels]

    def is_over(self) -> bool:
        """Return whether the last notification of each incident says that all of its alerts have ended."""
        return all(sent and sent[-1].document["status"] == "resolved" for sent in map(self.sent, INCIDENTS))


def main(options: argparse.Namespace) -> None:
    rows: list[Row] = [("", "measured", "target", "reached")]
    try:
        with ExitStack() as stack:
            for row in measure(Monitored(stack, options), options):
                rows.append(row)
                print(*row, sep="  ", file=sys.stderr, flush=True)
    finally:
        print(table(rows))


def measure(monitored: Monitored, options: argparse.Namespace) -> Iterator[Row]:
    expected = options.hosts * options.checks
    monitored.wait(lambda: monitored.prometheus.query("count(healthcheck_up)") == [expected], "the first scrape")
    known = "count(instance:healthcheck_last_run:known)"
    monitored.wait(lambda: monitored.prometheus.query(known) == [options.hosts], "the first recordings")
    yield "series", f"{monitored.prometheus.query('sum(scrape_samples_post_metric_relabeling)')[0]:,.0f}", "", ""
    yield from notified(monitored)
    load = monitored.load
    least, median = load.evaluation(min), load.evaluation(statistics.median)
    text = f"{least:.2f} s at least, {median:.2f} s in the median"
    yield "evaluation of all rules", text, f"{EVALUATION:g} s", _yes(median <= EVALUATION)
    for group in load.evaluations:
        seconds = [*load.evaluations[group].values()][1:]
        if seconds:
            text = f"{min(seconds):.2f} s, {statistics.median(seconds):.2f} s, {len(seconds)} times"
            yield f"  {group}", text, "", ""
    memory = load.memory / 1e9
    yield "memory of Prometheus", f"{memory:.2f} GB", f"{MEMORY:g} GB", _yes(memory <= MEMORY)
    yield "CPU of Prometheus", f"{load.cpu:.2f} cores", "", ""


def notified(monitored: Monitored) -> Iterator[Row]:
    """Measure notifications of incidents that begin together; all but the flapping one last until it has flapped."""
    hosts = monitored.fleet.hosts
    began = time.monotonic()
    for flap in range(FLAPS):
        for flapping, seconds in ((["disk2"], FAILING), ([], PASSING)):
            if (flap, flapping) != (FLAPS - 1, []):
                failing = {host: ["home", "disk1", *(flapping if host == hosts[1] else [])] for host in hosts}
                monitored.fleet.report(failing=failing, gone=hosts[:1])
                time.sleep(seconds)
    monitored.fleet.report()
    try:
        monitored.wait(monitored.is_over, "the last notification")
    finally:
        for incident in INCIDENTS:
            yield _row(incident, monitored.sent(incident), began)
        about = {tuple(incident.labels.items()) for incident in INCIDENTS}
        others = [each for each in monitored.inbox.received if tuple(each.document["groupLabels"].items()) not in about]
        yield "other notifications", str(len(others)), "0", _yes(not others)


def _row(incident: Incident, sent: list[Notification], began: float) -> Row:
    firing = [each for each in sent if each.document["status"] == "firing"]
    first = f"{firing[0].time - began:.0f} s to the first" if firing else "none"
    text = f"{first} of {len(sent)} notifications, {len(sent) - len(firing)} of its end"
    return incident.name, text, f"{NOTIFICATIONS} notifications", _yes(1 <= len(sent) <= NOTIFICATIONS)


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "no"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--checks", type=int, default=50)
    parser.add_argument("--interval", type=int, default=30, help="of scrapes and evaluations, in seconds")
    parser.add_argument("--rules", type=Path, default=FOLDER / "rules.yml", help="others than those that are shipped")
    main(parser.parse_args())
