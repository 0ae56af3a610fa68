"""Metrics: Prometheus reads the results, and the alerting rules fire as promised."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from servermonitoring.watchdog_state import Heartbeat, Kill, record_kill, write_heartbeat
from tests import ROOT
from tests.servers.prometheus import NodeExporter, Prometheus
from tests.servers.server import program, until

RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = RULES.with_name("grafana.json")
FLEET_DASHBOARD = RULES.with_name("grafana-fleet.json")
KILL = Kill(1.0, "firefox", "memory", "m", 1, "firefox", 0, 5, 1.0, None, "c")
CHECKS = """
    import time

    import pytest
    from healthchecks import Target, metric, probe

    class Thing(Target):
        state: str = "ok"
        used: float | None = None

    @probe
    def state(thing: Thing) -> str:
        if thing.used is not None:
            metric("used", thing.used, "ratio", limit=0.9)
            metric('of the "other"', 3, lower_limit=2, limit=5)
            metric("free", 1.5e9, "bytes")
        if thing.state == "late":
            time.sleep(0.01)
        return thing.state

    def test_thing(thing, state):
        if state == "skip":
            pytest.skip("not today")
        if state == "broken":
            raise TypeError("it is broken")
        assert state != "bad", "it is bad"

    @pytest.mark.healthcheck
    def test_plain():
        pass
"""


@pytest.fixture
def metered(suite):
    """`metered(first="bad")` runs things of these states, and gives the samples of the file by name and labels."""
    suite.write("test_mine.py", CHECKS)
    (suite.folder / "textfiles").mkdir()
    suite.textfile = suite.folder / "textfiles/servermonitoring.prom"

    def run(*arguments, extra="", **things):
        tables = "".join(f"[thing.{name}]\nstate = '{state}'\n" for name, state in things.items())
        suite.configure(f"{tables}{extra}\n[metrics]\ntextfile = '{suite.textfile}'\n")
        suite.outcome = suite.run("test_mine.py", *arguments)
        return samples(suite.textfile)

    run.suite = suite
    return run


def samples(path: Path) -> dict[str, float]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def of(name: str, target: str, found: dict[str, float]) -> float | None:
    return next((value for key, value in found.items() if key.startswith(name) and f'target="{target}"' in key), None)


def test_each_check_has_its_state_time_and_age(metered):
    found = metered(first="ok", second="bad", extra='[thing.third]\nneeds = ["thing.second"]')
    assert found['healthcheck_up{check="thing",target="first",group=""}'] == 1
    assert found['healthcheck_up{check="thing",target="second",group=""}'] == 0
    assert found['healthcheck_up{check="plain",target="",group=""}'] == 1
    assert of("healthcheck_up", "third", found) is None
    assert found['healthcheck_status{check="thing",target="first",group=""}'] == 0
    assert found['healthcheck_status{check="thing",target="second",group=""}'] == 2
    assert of("healthcheck_status", "third", found) == 4
    assert 0 <= of("healthcheck_duration_seconds", "first", found) < 60
    assert of("healthcheck_failing_since_timestamp_seconds", "first", found) is None
    since = of("healthcheck_failing_since_timestamp_seconds", "second", found)
    assert abs(since - found["healthcheck_last_run_timestamp_seconds"]) < 60


def test_each_status_has_the_number_that_is_documented(metered):
    """One series of each check."""
    found = metered(
        good="ok", bad="bad", extra="[thing.late]\nslow = '1ms'\nstate = 'late'\n"
        "[thing.broken]\nstate = 'broken'\n[thing.behind]\nneeds = ['thing.bad']\n[thing.out]\nstate = 'skip'\n",
    )  # fmt: skip
    names = "good", "late", "bad", "broken", "behind", "out"
    assert [of("healthcheck_status", name, found) for name in names] == [0, 1, 2, 3, 4, None]
    assert sum(key.startswith("healthcheck_status{") for key in found) == 6  # with that of test_plain
    shown = re.search(r"`healthcheck_status` \| ([^|]+)\|", (ROOT / "docs/metrics.md").read_text())
    assert shown
    assert shown[1].startswith("0 for `ok`, 1 for `slow`, 2 for `failed`, 3 for `error`, 4 for `blocked`")


def test_the_metrics_of_a_check_have_their_limits(metered):
    """Also while it fails; a check that is blocked has none; a run of a part keeps them."""
    extra = "[thing.disk]\nstate = 'bad'\nused = 0.93\n[thing.behind]\nused = 0.1\nneeds = ['thing.disk']\n"
    found = metered(plain="ok", extra=extra)
    labels = 'check="thing",target="disk",group="",metric="used",unit="ratio"'
    other = r'check="thing",target="disk",group="",metric="of the \"other\"",unit="none"'
    assert {key: value for key, value in found.items() if key.startswith("healthcheck_metric")} == {
        f"healthcheck_metric{{{labels}}}": 0.93,
        f"healthcheck_metric{{{other}}}": 3,
        'healthcheck_metric{check="thing",target="disk",group="",metric="free",unit="bytes"}': 1.5e9,
        f'healthcheck_metric_limit{{{labels},bound="upper"}}': 0.9,
        f'healthcheck_metric_limit{{{other},bound="upper"}}': 5,
        f'healthcheck_metric_limit{{{other},bound="lower"}}': 2,
    }
    again = metered("-k", "plain", plain="ok", extra=extra)
    assert {key: again.get(key) for key in found if "metric" in key} == {
        key: value for key, value in found.items() if "metric" in key
    }


def test_severity_scope_and_runbook_are_known(metered):
    """A runbook that is no URL would be a sentence in a label."""
    found = metered(
        plain="ok", extra="[thing.soft]\nseverity = 'warning'\nrunbook = 'https://wiki.example.com/soft'\n"
        "[thing.text]\nrunbook = 'restart it'\n",
    )  # fmt: skip
    info = [key.partition(",group=")[2] for key in sorted(found) if key.startswith("healthcheck_info")]
    assert info == [
        '"",severity="critical",scope="shared",runbook=""}',
        '"",severity="critical",scope="shared",runbook=""}',
        '"",severity="warning",scope="shared",runbook="https://wiki.example.com/soft"}',
        '"",severity="critical",scope="shared",runbook=""}',
    ]


def test_maintenance_has_a_series_only_while_it_lasts(metered):
    """A thousand servers would have a hundred thousand series that say no."""
    found = metered(plain="ok", extra="[thing.old]\nmaintenance = true\nstate = 'bad'\n")
    assert of("healthcheck_maintenance", "old", found) == 1
    assert of("healthcheck_up", "old", found) == 0
    assert sum(key.startswith(("healthcheck_maintenance", "healthcheck_silenced")) for key in found) == 1


def test_all_samples_have_the_labels_of_the_host(metered):
    found = metered(first="ok", extra="[metrics.labels]\nsite = 'fra1'\n")
    assert [key for key in found if 'site="fra1"' not in key] == []


@pytest.mark.parametrize("label", ["instance", "check", "__name__", "a-b", "1st"])
def test_a_label_that_prometheus_or_we_use_is_refused(suite, label):
    suite.configure(f"[metrics]\ntextfile = '/tmp/metrics.prom'\nlabels = {{'{label}' = 'x'}}\n")
    suite.write("test_mine.py", CHECKS)
    outcome = suite.run("test_mine.py")
    assert outcome.status == 4
    assert f"'{label}' cannot be a label" in outcome.output


def test_what_an_older_release_stored_is_read(metered):
    metered(first="bad", second="ok")
    path = metered.suite.state / "metrics.json"
    stored = json.loads(path.read_text())
    for each in stored:
        del each["metrics"]
    path.write_text(json.dumps(stored))
    assert of("healthcheck_up", "first", metered("-k", "second", first="ok", second="ok")) == 0


def test_prometheus_accepts_them_whatever_is_in_a_name(metered):
    """Promtool finds nothing wrong, and all may read the file."""
    metered(first="bad", extra='[thing.other]\nused = 0.5\ngroup = "a \\"quoted\\" \\\\ group\\nof two lines"\n')
    path = metered.suite.textfile
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=path.read_text(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_run_of_a_part_keeps_the_rest(metered):
    """One selected check says nothing about the others; a check that no longer exists disappears."""
    before = metered(first="bad", second="ok")
    after = metered("-k", "second", first="ok", second="bad")
    assert of("healthcheck_up", "first", after) == 0
    assert of("healthcheck_up", "second", after) == 0
    name = "healthcheck_last_run_timestamp_seconds"
    assert after[name] > before[name]
    gone = metered("-k", "second", second="ok")
    assert of("healthcheck_up", "first", gone) is None
    assert of("healthcheck_up", "second", gone) == 1
    assert gone['healthcheck_up{check="plain",target="",group=""}'] == 1


def test_a_check_without_a_result_for_two_days_is_forgotten(metered):
    metered(first="ok")
    path = metered.suite.state / "metrics.json"
    known = json.loads(path.read_text())
    for each in known:
        each["checked_at"] -= 49 * 3600
    path.write_text(json.dumps(known))
    found = metered("-k", "first", first="ok")
    assert [key for key in found if key.startswith("healthcheck_up")] == [
        'healthcheck_up{check="thing",target="first",group=""}'
    ]


@pytest.mark.parametrize(
    "text", ["", "[{}]", '{"a": 1}', '[{"check": 1}]', '[{"metrics": 1}]', '[{"metrics": [{"name": 1}]}]', "\x00"]
)
def test_a_damaged_memory_costs_nothing(metered, text):
    metered.suite.state.mkdir(parents=True)
    (metered.suite.state / "metrics.json").write_text(text)
    assert of("healthcheck_up", "first", metered(first="ok")) == 1


def test_kills_of_the_watchdog_are_counted(metered):
    """By rule and reason; invalid lines between them are left out."""
    state = metered.suite.state
    state.mkdir(parents=True)
    assert "watchdog_kills_total" not in str(metered(first="ok"))
    (state / "watchdog.json").write_text('{"pid": 1, "time": 1700000000.5, "poll_interval": 40, "started": 1}')
    memory, silent = (json.dumps(KILL._replace(reason=reason)._asdict()) + "\n" for reason in ("memory", "silent"))
    (state / "kills.jsonl").write_text(f"{memory}{silent}half a li\n[]\n{memory}")
    found = metered(first="ok")
    assert found['watchdog_kills_total{rule="firefox",reason="memory"}'] == 2
    assert found['watchdog_kills_total{rule="firefox",reason="silent"}'] == 1
    assert found["watchdog_last_seen_timestamp_seconds"] == 1700000000.5


def test_a_file_that_cannot_be_written_is_reported_and_changes_no_result(metered):
    metered(first="ok")
    metered.suite.textfile.unlink()
    metered.suite.textfile.parent.rmdir()
    with pytest.raises(FileNotFoundError):
        metered(first="ok")
    assert metered.suite.outcome.status == 0
    assert re.search(
        r"metrics .*servermonitoring.prom could not be written: No such file", metered.suite.outcome.output
    )


def test_a_name_that_node_exporter_would_not_read_is_refused(suite):
    suite.write("test_mine.py", CHECKS)
    suite.configure("[metrics]\ntextfile = '/tmp/metrics.txt'\n")
    outcome = suite.run("test_mine.py")
    assert outcome.status == 4
    assert "[metrics] textfile: '/tmp/metrics.txt' would not be read" in outcome.output


def dashboard_queries() -> dict[str, list[str]]:
    """The queries of each panel, for all servers and checks."""
    variables = {"$instance": ".*", "$check": ".*", "$__range": "5m"}

    def complete(query: str) -> str:
        for name, value in variables.items():
            query = query.replace(name, value)
        return query

    panels = json.loads(DASHBOARD.read_text())["panels"]
    return {panel["title"]: [complete(each["expr"]) for each in panel["targets"]] for panel in panels}


def test_a_real_prometheus_raises_what_the_rules_promise(metered):
    """A check that is down, and then checks that do not run any more; the times of the rules are shortened, no more."""
    metered(first="bad", extra="[thing.second]\nused = 0.45\n")
    rules = re.sub(r"for: \w+", "for: 0s", RULES.read_text()).replace("> 1800", "> 4")
    textfiles = metered.suite.textfile.parent
    with NodeExporter(textfiles) as exporter, Prometheus(exporter.job, rules) as prometheus:
        raised = until(lambda: "HealthCheckIsDown" in (firing := prometheus.firing()) and firing, 120)
        assert raised["HealthCheckIsDown"] == f"thing first on 127.0.0.1:{exporter.port} failed"
        shown = {title: [prometheus.query(each) for each in queries] for title, queries in dashboard_queries().items()}
        assert shown["Failures"] == [[1]]
        assert sorted(shown["Checks"][0]) == [0, 0, 2]
        assert [sorted(each) for each in shown["Nearest to the limit"]] == [[0.5, 0.6]]
        assert shown["Ratios"] == [[0.45], [0.9]]
        assert shown["Bytes"] == [[1.5e9], []]
        assert [sorted(each) for each in shown["Counts and temperatures"]] == [[3], [2, 5]]
        metered(first="ok", second="ok")
        until(lambda: "HealthCheckIsDown" not in prometheus.firing(), 120, what="its end")
        raised = until(lambda: "HealthChecksHaveNotRun" in (firing := prometheus.firing()) and firing, 120)
        assert re.search(r"have not run for [4-9]\.\d", raised["HealthChecksHaveNotRun"])


def test_rules_and_dashboard_use_metrics_that_exist(metered):
    """Every name in them is one that is written, and no other is."""
    state = metered.suite.state
    state.mkdir(parents=True)
    write_heartbeat(state, Heartbeat(1, 1.0, 30.0, 1.0))
    record_kill(state, KILL)
    extra = "[thing.disk]\nused = 0.5\n[thing.old]\nmaintenance = true\n"
    written = {key.partition("{")[0] for key in metered(first="bad", extra=extra)} | {"healthcheck_silenced"}
    text = "\n".join(each.read_text() for each in (RULES, DASHBOARD, FLEET_DASHBOARD))
    recorded = set(re.findall(r"record: (\S+)", text))
    assert set(re.findall(r"\b(?:instance|check_target)\w*:\w+:\w+", text)) <= recorded
    asked = set(re.findall(r"(?<!:)\b(?:healthcheck|watchdog)_\w+", text))
    assert asked <= written
    assert written - asked == set()
