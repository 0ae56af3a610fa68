"""`only`: which alerts a channel takes, row by row of the table in docs/alerts.md, and in runs with real receivers."""

import json
from datetime import UTC, datetime

import pytest

from healthchecks.plugin.alerting.decision import SUMMARY, AlertSelection
from healthchecks.plugin.result import Status
from servermonitoring.delivery.alert_filter import WORDS, AlertFilter
from servermonitoring.watchdog_state import record_kill
from tests import ROOT
from tests.healthchecks.plugin.alerting.test_alerting import Runs, line, result
from tests.healthchecks.plugin.alerting.test_kills import kill
from tests.servers.server import HOST, until
from tests.suite import Suite

KEY = "K3yOfTheService9876"
LONG = 120.0  # seconds, on a busy machine


def rows() -> list[tuple[str, ...]]:
    text = (ROOT / "docs/alerts.md").read_text().split("<!-- only -->")[1].split("\n\n")[1]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines()[2:]]


def only(text: str) -> AlertFilter:
    words = [each.strip(" `") for each in text.split(",") if each.strip()]
    return AlertFilter.parse(words) if words else AlertFilter()


def described(text: str):
    """The result that a cell describes: "failed, shared, warning, in group shop"."""
    status, scope, severity, *group = text.split(", ")
    of_group = "".join(group).removeprefix("in group ")
    fields = {"local": scope == "local", "severity": severity, "group": of_group}
    if status == "logs an error":
        return result(status=Status.OK, message="", log=[line("cache is cold")], **fields)
    if status == "passing":
        return result(status=Status.OK, message="", **fields)
    return result(status=Status(status), message="no", **fields)


@pytest.mark.parametrize("row", rows(), ids=" / ".join)
def test_the_table_is_what_a_channel_takes(tmp_path, row):
    """Another channel takes all, so that each failure is alerted."""
    words, before, now, sent = row
    runs = Runs(tmp_path, AlertSelection(filters=[AlertFilter(), only(words)]))
    for status in before.split(", then ") if before else ():
        runs.run(described(now.replace("passing", status).replace("error", status)))
    (alert,) = runs.run(described(now))
    assert (only(words) in alert.filters) is (sent == "yes")


def test_the_table_has_every_word():
    assert {each.strip(" `") for row in rows() for each in row[0].split(",")} >= {*WORDS, "group:shop"}


def test_each_channel_has_its_own_limit_and_summary(tmp_path):
    """Thirty outages cost nobody a traceback; no summary names what the channel does not take."""
    outages, errors = AlertFilter(("failed",)), AlertFilter(("error",))
    runs = Runs(tmp_path, AlertSelection(max_per_run=2, filters=[outages, errors]))
    results = [result(f"t{number}") for number in range(5)]
    results += [result(f"e{number}", Status.ERROR, "KeyError") for number in range(3)]
    alerts = runs.run(*results)
    for each, names, summary in [
        (outages, ["t0", "t1"], "3 more checks are failing: website[t2], website[t3], website[t4]"),
        (errors, ["e0", "e1"], "1 more check is failing: website[e2]"),
    ]:
        mine = [alert for alert in alerts if each in alert.filters]
        assert [alert.key[1] for alert in mine[:2]] == names
        assert [(alert.key, alert.message) for alert in mine[2:]] == [(SUMMARY, summary)]
    assert len({alert.id for alert in alerts}) == 6
    assert runs.run(*results) == []
    assert len(runs.run(*(result(each.target, Status.OK, "") for each in results))) == 6


def test_what_no_channel_takes_stays_due_and_has_no_recovery(tmp_path):
    """It uses up no limit of the day; a channel that takes it later is alerted at once."""
    runs = Runs(tmp_path, AlertSelection(max_per_day=1, filters=[AlertFilter(("error",))]))
    for _ in range(2):
        assert runs.run(result()) == []
        assert runs.decided.untaken == 1
    assert runs.run(result(status=Status.OK, message="")) == []
    runs.run(result())
    runs.selection = AlertSelection(filters=[AlertFilter()])
    assert [alert.action for alert in runs.run(result())] == ["alert"]


def test_only_an_event_that_sentry_got_has_an_issue_to_resolve(tmp_path):
    outages, errors = AlertFilter(("failed",)), AlertFilter(("error",))
    runs = Runs(tmp_path, AlertSelection(filters=[outages, errors], sentry=errors))
    runs.run(result())
    runs.run(result(status=Status.OK, message=""))
    assert runs.decided.to_resolve == {}
    (alert,) = runs.run(result(status=Status.ERROR, message="KeyError"))
    runs.run(result(status=Status.OK, message=""))
    assert list(runs.decided.to_resolve) == [alert.id]


CHECKS = """
    from pathlib import Path
    import pytest
    from healthchecks import Target, probe

    class Shop(Target):
        pass

    @probe
    def words(shop: Shop) -> str:
        return Path("words.txt").read_text()

    def test_shop_words(shop, words):
        assert words == "ok", words

    @pytest.mark.healthcheck
    def test_stock():
        {"ok": 1}[Path("words.txt").read_text()]

    @pytest.mark.healthcheck(local=True)
    def test_backup():
        assert Path("words.txt").read_text() == "ok"
"""


def test_each_channel_gets_what_it_takes(tmp_path, website, bugsink):
    """Errors to Sentry, outages to the webhook, what is of this machine to a service; and the recoveries there."""
    suite = Suite(tmp_path)
    suite.write("test_mine.py", CHECKS)
    (suite.folder / "words.txt").write_text("closed")
    suite.environment["HEALTHCHECKS_SENTRY_DSN"] = bugsink.dsn
    for path in ("/chat", "/local"):
        website.answer(path, "ok")
    suite.configure(
        "[shop.a]\n[shop.b]\nseverity = 'warning'\n"
        "[sentry]\nonly = ['error']\n"
        f"[alerts]\nwebhook = '{website.url('/chat')}'\nwebhook_only = ['critical', 'shared', 'failed']\n"
        f"notify = [{{ url = 'json://{HOST}:{website.port}/local', only = ['local'] }}]\n"
    )
    suite.state.mkdir(parents=True, mode=0o700)
    record_kill(suite.state, kill(now=datetime.now(UTC)))
    first = suite.run("test_mine.py").output
    assert " (production; only error), webhook (only failed, shared, critical), JSON (only local)\n" in first, first
    assert "alerts not sent: 1 that no channel takes (only)" in first
    received = Received(website, suite)
    received.wait("/local", 2)
    assert [event.tags["check"] for event in bugsink.events()] == ["stock"]
    assert received.titles("/chat") == ["shop[a]: closed"]
    assert sorted(title.split(":")[1].split("[")[0] for title in received.titles("/local")) == [" backup", " watchdog"]
    (suite.folder / "words.txt").write_text("ok")
    output = suite.run("test_mine.py", "--pyargs", "healthchecks.test_alerts").output
    assert "that no channel takes" not in output
    assert "alerts_delivered" not in output
    received.wait("/local", 3)
    assert [title.split(" after ")[0] for title in received.titles("/chat")[1:]] == ["shop[a] recovered"]
    assert "backup recovered" in received.titles("/local")[-1]


class Received:
    """What a website has received as webhook and service."""

    def __init__(self, website, suite):
        self._website, self._suite = website, suite

    def titles(self, path):
        return [json.loads(each.body)["title"] for each in self._website.requests if each.path == path]

    def wait(self, path, count):
        """Run again while something waits: on a busy machine a run may end before the process has started."""
        until(lambda: len(self.titles(path)) >= count or self._suite.run().output is None, LONG, what="the alerts")


WRONG = """
[sentry]
only = ["eror", "error"]
[alerts]
webhook_only = []
notify = [
    { url = "json://h/KEY", only = ["error", "locale"] },
    { url = "json://h/KEY2", onyl = ["local"] },
    { only = ["local"] },
    { url = "json://h/KEY3", only = "error" },
    7,
]
""".replace("KEY", KEY)


def test_wrong_words_are_errors_of_the_configuration(tmp_path):
    """All at once, with what is known, and no secret."""
    suite = Suite(tmp_path)
    suite.write("test_mine.py", CHECKS)
    known = "write some of failed, error, local, shared, critical, warning and group:NAME"
    suite.configure(WRONG.replace("    7,\n", ""))
    outcome = suite.run()
    assert outcome.status == 4
    for said in (
        f'"eror" is unknown; did you mean "error"? W{known[1:]}\n',
        f"[alerts] webhook_only: []: is empty, so that nothing would be sent: leave it out, or {known}\n",
        f'entry 1: only: "locale" is unknown; did you mean "local"? W{known[1:]};',
        'entry 2: unknown key "onyl"; did you mean "only"?;',
        'entry 3: needs a url: write { url = "slack://…", only = ["error"] };',
        f'entry 4: only: is a list of words, such as ["error", "local"]: {known}\n',
    ):
        assert said in outcome.output, outcome.output
    assert KEY not in outcome.output
    suite.configure(WRONG)
    assert "[alerts] notify: is a list of texts" in suite.run().output


def test_a_group_that_no_check_is_in_is_a_notice(tmp_path):
    suite = Suite(tmp_path)
    suite.write("test_mine.py", CHECKS)
    (suite.folder / "words.txt").write_text("ok")
    suite.configure("[shop.a]\ngroup = 'mail'\n[sentry]\nonly = ['group:mail', 'group:mial', 'error']\n")
    assert 'only: no check is in the group "mial"; did you mean "mail"?\n' in suite.run().output
