"""The configuration of Prometheus and Alertmanager: each rule fires and ends, and an incident is one notification."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests import ROOT
from tests.servers.fleet import Fleet
from tests.servers.inbox import Inbox
from tests.servers.prometheus import Alertmanager, Prometheus
from tests.servers.server import HOST, program, until

FOLDER = ROOT / "deploy/prometheus"
RULES = FOLDER / "rules.yml"
TESTS = FOLDER / "rules.test.yml", FOLDER / "rules-days.test.yml"
ALERTMANAGER = FOLDER / "alertmanager.yml"
HOSTS = 20


def output_of(*command) -> str:
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_fire_and_end_as_their_tests_say():
    assert "SUCCESS" in output_of(program("promtool"), "check", "rules", RULES.name)
    assert "SUCCESS" in output_of(program("promtool"), "test", "rules", *(each.name for each in TESTS))


def test_prometheus_reads_its_configuration_with_the_list_of_servers_that_it_describes(tmp_path):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "prometheus.yml").read_text()
    (servers,) = re.findall(r"servers.yml, next to this file: (\[.*\])", text)
    (tmp_path / "servers.yml").write_text(servers)
    output = output_of(program("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))
    assert "1 rule files found" in output
    assert "WARNING" not in output


def test_each_alert_says_what_it_is_and_the_guide_what_to_do():
    guide = (ROOT / "docs/prometheus.md").read_text()
    rules = re.split(r"- alert: (\w+)", RULES.read_text())[1:]
    for name, rule in zip(rules[::2], rules[1::2], strict=True):
        assert "summary:" in rule, name
        assert "description:" in rule, name
        assert f"\n## {name}\n" in guide
        assert f" with $externalLabels.docs }}}}{{{{ . }}}}/prometheus.html#{name.lower()}{{{{ end }}}}" in rule, name


def test_each_rule_has_a_test_before_while_and_after_it_fires():
    """Two evaluations of each alert find nothing, one finds it."""
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    tests = "\n".join(each.read_text() for each in TESTS)
    silent = re.findall(r"- \{alertname: (\w+), eval_time: \w+\}", tests)
    firing = re.findall(r"- alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:\n", tests)
    assert len(alerts) > 10
    assert [each for each in alerts if silent.count(each) < 2] == []
    assert [each for each in alerts if each not in firing] == []


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "on-call"), ("warning", "team")])
def test_alertmanager_routes_by_severity(severity, receiver):
    assert "SUCCESS" in output_of(program("amtool"), "check-config", ALERTMANAGER.name)
    route = "config", "routes", "test", f"--config.file={ALERTMANAGER.name}", f"severity={severity}", "check=disk_usage"
    assert output_of(program("amtool"), *route).strip() == receiver


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def monitored(inbox) -> Iterator[tuple[Fleet, Prometheus]]:
    """Servers, and what their alerts become: the times of the rules and of the groups are shortened, no more."""
    rules = re.sub(r"for: \w+", "for: 0s", RULES.read_text()).replace("interval: 2m", "interval: 300ms")
    with ExitStack() as stack:
        text = re.sub(r"group_(wait|interval): \w+", r"group_\1: 2s", ALERTMANAGER.read_text())
        alertmanager = stack.enter_context(Alertmanager(inbox.configure(text)))
        fleet = stack.enter_context(Fleet(HOSTS, 3))
        prometheus = stack.enter_context(Prometheus(fleet.job, rules, alertmanager.port))
        until(lambda: len(prometheus.query("healthcheck_up == 1")) == HOSTS * 3, what="the first scrapes")
        known = "instance:healthcheck_last_run:known"
        until(lambda: len(prometheus.query(known)) == HOSTS, what="the first recordings")
        yield fleet, prometheus


def panels() -> dict[str, list[str]]:
    """The queries of each panel of the dashboard of all servers."""
    document = json.loads((FOLDER / "grafana-fleet.json").read_text())
    return {
        panel["title"]: [each["expr"].replace("$instance", ".*") for each in panel["targets"]]
        for panel in document["panels"]
    }


def test_an_incident_is_one_notification_however_many_servers_see_it(monitored, inbox):
    """A website that all check, a disk on each server, a server that is gone."""
    fleet, prometheus = monitored
    fleet.report(failing={host: ["home", "disk1"] for host in fleet.hosts}, gone=["host0"])
    until(lambda: sum(inbox.firing("HealthCheckIsDown", check="disk_usage", target="disk1")) >= HOSTS - 1)
    until(lambda: inbox.firing("SharedCheckIsDown", check="website_access", target="home"))
    until(lambda: inbox.firing("ServerIsDown"))
    assert 1 <= len(inbox.firing("HealthCheckIsDown", check="disk_usage", target="disk1")) <= 3
    assert inbox.firing("SharedCheckIsDown", check="website_access", target="home")[-1] == 1
    assert inbox.firing("ServerIsDown")[-1] == 1
    assert inbox.firing("HealthCheckIsDown", check="website_access", target="home") == []
    shown = {title: [prometheus.query(each) for each in queries] for title, queries in panels().items()}
    empty = [title for title, found in shown.items() if not all(found)]
    assert empty == ["Servers whose checks have not run for 30 minutes"]
    assert shown["Servers that do not respond"] == [[1]]
    assert shown["Servers with a failing check"] == [[HOSTS - 1]]
    assert shown["Shared targets that are down"] == [[1]]
    statuses, failures = shown["Checks of the 50 servers with the most failures"]
    assert (statuses.count(2), set(failures)) == (2 * (HOSTS - 1), {2})
    assert len(shown["Error budget left of 30 days, the least first"][0]) == 3
    assert sorted(shown["Share of servers on which each check passes"][0]) == [0, 0, 1]
    fleet.report()
    until(lambda: prometheus.query("count(ALERTS{alertname!~'ErrorBudget.*'})") == [], what="its end")
    until(lambda: inbox.firing("SharedCheckIsDown", check="website_access", target="home")[-1] == 0)


def test_what_is_behind_a_gateway_is_not_news(inbox):
    """By the inhibition rules alone: alerts that amtool adds."""
    with Alertmanager(inbox.configure(ALERTMANAGER.read_text())) as alertmanager:
        url = f"--alertmanager.url=http://{HOST}:{alertmanager.port}"

        def add(*labels):
            output_of(program("amtool"), url, "alert", "add", *labels)

        add("alertname=HealthCheckIsDown", "group=gateway", "instance=a", "check=tcp_access", "target=gateway")
        add("alertname=HealthCheckIsDown", "instance=a", "check=website_access", "target=home")
        add("alertname=HealthCheckIsDown", "instance=a", "check=disk_usage", "target=root", "scope=local")
        add("alertname=HealthCheckIsDown", "instance=b", "check=website_access", "target=home")
        add("alertname=SharedCheckIsDown", "check=website_access", "target=shop")
        add("alertname=SharedCheckIsDownOnSome", "check=website_access", "target=shop")
        add("alertname=ServerIsDown", "instance=c")
        add("alertname=WatchdogIsSilent", "instance=c")
        add("alertname=ErrorBudgetBurnsFast", "check=website_access", "target=home")
        add("alertname=ErrorBudgetBurnsFast", "check=website_access", "target=other")

        def shown(*options) -> list[str]:
            found = json.loads(output_of(program("amtool"), url, "--output=json", "alert", "query", *options))
            labels = (each["labels"] for each in found)
            return sorted(f"{each['alertname']} {each.get('instance', each.get('target'))}" for each in labels)

        assert until(lambda: len(found := shown("--inhibited")) == 4 and found) == [
            "ErrorBudgetBurnsFast home", "HealthCheckIsDown a", "SharedCheckIsDownOnSome shop", "WatchdogIsSilent c",
        ]  # fmt: skip
        assert shown("--active") == [
            "ErrorBudgetBurnsFast other", "HealthCheckIsDown a", "HealthCheckIsDown a", "HealthCheckIsDown b",
            "ServerIsDown c", "SharedCheckIsDown shop",
        ]  # fmt: skip
