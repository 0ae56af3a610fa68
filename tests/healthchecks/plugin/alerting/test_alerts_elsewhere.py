"""Alerts beyond events for Sentry: issues that are resolved, the webhook, attachments, and no secret in any of it."""

import json
import os
from datetime import timedelta
from urllib.parse import quote, unquote

import pytest

from healthchecks.plugin.alerting.sentry import event
from servermonitoring.delivery.sentry import Origin, Sentry
from tests import ROOT
from tests.healthchecks.plugin.alerting.shops import Shops, age_alerts
from tests.healthchecks.plugin.alerting.test_alerting import Runs, result
from tests.reliability import reliability
from tests.servers.sentry_api import TOKEN, SentryApi
from tests.suite import table


@pytest.fixture
def shops(tmp_path):
    return Shops(tmp_path, "a", "b")


@reliability(
    "Alerts",
    fault="the receiver refused the alert of a check that goes on failing",
    promise="the next run says that the alert was refused, and where it is",
)
def test_a_refused_alert_is_named_by_the_next_run(shops, website):
    shops.configure(f'[shop.a]\n[alerts]\nwebhook = "{website.url("/status/400")}"\n')
    shops.say(a="closed")
    assert "webhook: 1 refused" in shops.run().output
    output = shops.run().output
    folder = shops.state / "spool" / "webhook" / "refused"
    assert f"alerts not sent: 1 alerted before, of which 1 was refused within the last day: see {folder}" in output
    for each in folder.iterdir():
        os.utime(each, (0, 0))
    assert "alerts not sent: 1 alerted before" in shops.run().output


def test_144_runs_of_one_failure_are_three_events_of_one_issue(tmp_path, bugsink):
    """By a clock of the test's own; all else is as in a run."""
    sentry = Sentry(bugsink.dsn, tmp_path / "spool", Origin(host="web1"))
    runs = Runs(tmp_path)
    for _ in range(144):
        for alert in runs.run(result()):
            sentry.capture(event(alert))
    assert sentry.outbox.deliver(20).sent == 3
    assert [(issue.title, issue.events) for issue in bugsink.issues()] == [
        ("website[home]: status 502 instead of 200", 3)
    ]
    actions = [(each.tags["action"], each.data["contexts"]["history"]) for each in bugsink.events()]
    assert [action for action, _ in actions] == ["alert", "reminder", "reminder"]
    assert [history["failures in a row"] for _, history in actions] == [1, 7, 37]
    assert {history["failing since"] for _, history in actions} == {"2026-11-24T04:00:00Z"}
    assert actions[2][1]["not sent since the last event"] == 29
    assert len(actions[2][1]["last runs"]) == 10


@reliability(
    "Alerts",
    fault="Sentry notifies of new and reopened issues only, as by its default rule",
    promise="with a token a recovery resolves the issue, so that the next failure of the check reopens it",
)
@pytest.mark.parametrize("project", ["", "project = 'web'"])
def test_with_a_token_the_issue_of_a_check_that_recovered_is_resolved(shops, bugsink, project):
    shops.alert(bugsink.dsn).say(a="closed")
    with SentryApi(bugsink) as api:
        settings = f"[sentry]\ntoken = '{TOKEN}'\norganization = 'shop'\nurl = '{api.url}'\n{project}\n"
        shops.configure(f"[shop.a]\n[shop.b]\n{settings}")
        shops.run()
        assert [issue.resolved for issue in bugsink.issues()] == [False]
        shops.say(a="ok")
        outcome = shops.run()
        assert [issue.resolved for issue in bugsink.issues()] == [True], outcome.output
        shops.run()
        assert [each.split()[0] for each in api.requests] == ["GET", "PUT"]
        shops.say(a="closed")
        shops.run()
    assert [(issue.events, issue.resolved) for issue in bugsink.issues()] == [(2, False)]


def test_what_cannot_be_resolved_now_is_resolved_by_a_later_run(shops, bugsink):
    shops.alert(bugsink.dsn).say(a="closed")
    with SentryApi(bugsink) as api:
        url = api.url
    settings = f"[shop.a]\n[sentry]\ntoken = '{TOKEN}'\norganization = 'shop'\n"
    shops.configure(f"{settings}url = '{url}'")  # nobody is there
    shops.run()
    shops.say(a="ok")
    outcome = shops.run()
    assert outcome.status == 0
    assert "Sentry issues not resolved: " in outcome.output
    with SentryApi(bugsink) as api:
        shops.configure(f"{settings}url = '{api.url}'")
        shops.run()
    assert [issue.resolved for issue in bugsink.issues()] == [True]
    assert TOKEN not in outcome.output


def test_the_webhook_is_sent_what_the_documentation_shows(shops, website):
    shops.configure(f"[shop.a]\n[shop.b]\n[alerts]\nwebhook = '{website.url('/hooks/T0KEN-of-the-hook')}'\n")
    website.answer("/hooks/T0KEN-of-the-hook", "ok")
    shops.say(a="closed")
    outcome = shops.run()
    assert "webhook: 1 sent" in outcome.output
    shops.run()
    (request,) = website.requests
    document = json.loads(request.body)
    assert request.headers["content-type"] == "application/json"
    sent = {key: document[key] for key in ("action", "title", "check", "target", "label", "message", "status", "level")}
    assert sent == {
        "action": "alert", "title": "shop[a]: closed", "check": "shop_words", "target": "a", "label": "shop[a]",
        "message": "closed", "status": "failed", "level": "error",
    }  # fmt: skip
    assert (document["failures"], document["suppressed"], document["data"]) == (1, 0, {})
    assert (document["metrics"], document["link"], document["runbook"]) == ([], "", "")
    text = (ROOT / "docs/alerts.md").read_text()
    assert list(document) == list(json.loads(text[text.index('{"id": ') : text.index("\n\n`action` is")]))
    assert "T0KEN" not in outcome.output + everything(shops.folder)


def test_a_recovery_is_sent_to_every_channel_but_sentry(shops, website, bugsink):
    """Where an event would reopen the issue. Its link and runbook are those of the alert."""
    website.answer("/hook", "ok")
    shops.configure(
        f"[shop.a]\nrunbook = 'open it'\n[shop.b]\n[alerts]\nwebhook = '{website.url('/hook')}'\n"
        "[dashboard]\nurl = 'https://status.example.com/'\n"
    )
    shops.alert(bugsink.dsn).say(a="closed")
    shops.run()
    age_alerts(shops.state, timedelta(minutes=42))
    shops.say(a="ok")
    assert "webhook: 1 sent" in shops.run().output
    shops.run()
    alert, recovery = (json.loads(each.body) for each in website.requests)
    assert recovery["title"] == "shop[a] recovered after 42 min"
    assert recovery["time"] >= alert["time"]  # both are in whole seconds
    changed = {key for key in alert if alert[key] != recovery[key]} - {"time"}
    assert changed == {"id", "action", "title", "message", "status", "level", "since"}
    assert [recovery[key] for key in ("action", "message", "status", "level", "failures")] == [
        "recovered", "recovered after 42 min", "ok", "info", 1,
    ]  # fmt: skip
    assert [each.tags["action"] for each in bugsink.events()] == ["alert"]


def test_a_recovery_that_could_not_be_spooled_is_sent_by_the_next_run(shops, website):
    """From memory, as the spool is still away; and then never again."""
    shops.configure(f"[shop.a]\n[alerts]\nwebhook = '{website.url('/hook')}'\n")
    website.answer("/hook", "ok")
    shops.say(a="closed")
    shops.run()
    spool = shops.state / "spool"
    (spool / "webhook").rmdir()
    (spool / "webhook").write_text("a file in the place of the spool")
    website.answer("/hook", "later", status=503)
    shops.say(a="ok")
    assert "cannot be written" in shops.run().output
    website.answer("/hook", "ok")
    assert "webhook: 1 sent" in shops.run().output
    requests = len(website.requests)
    shops.run()
    assert [json.loads(each.body)["action"] for each in website.requests][:2] == ["alert", "recovered"]
    assert len(website.requests) == requests


NUMBERS = """
    import logging
    import pytest
    from healthchecks import Target, metric, probe

    class Volume(Target):
        used: float = 0.5

    @probe
    def used(volume: Volume) -> float:
        metric("used", volume.used, "ratio", limit=0.9)
        metric("certificate", 3.0, "none", lower_limit=14)
        metric("free", 1.5e9, "bytes")
        if volume.name == "logs":
            logging.getLogger("volume").error("it is noisy")
        return volume.used

    def test_volume(volume, used):
        assert used <= 0.9, "it is nearly full"

    @pytest.mark.healthcheck(runbook="call the plumber")
    @pytest.mark.parametrize("place", ["Köln 1"])
    def test_pipe(place):
        raise ValueError("it leaks")
"""
RUNBOOK = "https://me:hunter22@wiki.example.com/volumes"


def test_an_alert_has_numbers_a_link_and_what_to_do(shops, website, bugsink):
    """Of a failing check, and of one that logs an error; the link leads to a card that the page has."""
    website.answer("/hook", "ok")
    shops.write("test_mine.py", NUMBERS)
    shops.configure(
        f"[volume.data]\nused = 0.93\nrunbook = '{RUNBOOK}'\n[volume.logs]\n[volume.quiet]\n"
        f"[alerts]\nwebhook = '{website.url('/hook')}'\n[dashboard]\nurl = 'https://status.example.com/'\n"
    )
    outcome = shops.alert(bugsink.dsn).run("test_mine.py")
    assert "webhook: 3 sent" in outcome.output
    sent = {each["label"]: each for each in (json.loads(request.body) for request in website.requests)}
    events = {each.tags["target"]: each.data["contexts"]["check"] for each in bugsink.events()}
    data, logs, pipe = (sent[label] for label in ("volume[data]", "volume[logs]", "pipe[Köln 1]"))
    assert data["metrics"] == [
        {"name": "used", "value": 0.93, "unit": "ratio", "limit": 0.9, "lower_limit": None},
        {"name": "certificate", "value": 3.0, "unit": "none", "limit": None, "lower_limit": 14.0},
        {"name": "free", "value": 1.5e9, "unit": "bytes", "limit": None, "lower_limit": None},
    ]
    assert events["data"]["metrics"] == ["used 93 % (limit 90 %)", "certificate 3 (lower limit 14)", "free 1.5 GB"]
    assert (logs["status"], logs["metrics"][0]["value"], logs["runbook"]) == ("logged", 0.5, "")
    assert events["logs"]["metrics"][0] == "used 50 % (limit 90 %)"
    assert (pipe["runbook"], pipe["metrics"]) == ("call the plumber", [])
    assert "metrics" not in events["Köln 1"]
    assert data["runbook"].endswith("@wiki.example.com/volumes")
    page = (shops.page / "index.html").read_text()
    for document in (data, logs, pipe):
        address, _, anchor = document["link"].partition("#")
        assert address == "https://status.example.com/"
        assert anchor.isascii()
        assert f'id="{unquote(anchor)}"' in page
        context = events[document["target"]]
        assert (context["link"], context.get("runbook", "")) == (document["link"], document["runbook"])
    assert "hunter22" not in outcome.output + bugsink.raw() + json.dumps(sent) + everything(shops.folder)


def test_an_alert_of_the_suite_links_to_the_page(shops, website):
    """Its errors have no card."""
    website.answer("/hook", "ok")
    tables = f"[shop.a]\n[alerts]\nwebhook = '{website.url('/hook')}'\n[metrics]\ntextfile = '/no/such/folder/a.prom'\n"
    shops.configure(f"{tables}[dashboard]\nurl = 'https://status.example.com/'\n")
    shops.run()
    (document,) = (json.loads(each.body) for each in website.requests)
    assert (document["label"], document["link"]) == ("suite[metrics]", "https://status.example.com/")
    assert (document["metrics"], document["runbook"]) == ([], "")


def test_the_webhook_waits_in_a_spool_while_nobody_is_there(shops, website):
    shops.configure(f"[shop.a]\n[shop.b]\n[alerts]\nwebhook = '{website.url('/hook')}'\n")
    website.answer("/hook", "later", status=503)
    shops.say(a="closed")
    assert "1 waiting" in shops.run().output
    website.answer("/hook", "ok")
    assert "webhook: 1 sent" in shops.run().output
    assert {json.loads(each.body)["title"] for each in website.requests} == {"shop[a]: closed"}
    assert len({each.headers["x-delivery"] for each in website.requests}) == 1  # so that a receiver knows it again


@pytest.mark.usefixtures("chromium")
def test_a_bookmarklet_sends_screenshot_and_source_with_its_first_event_only(
    run_suite, website, bugsink, monkeypatch, tmp_path
):
    monkeypatch.setenv("HEALTHCHECKS_SENTRY_DSN", bugsink.dsn)
    toml = table(
        "bookmarklet", "menu", url=website.url("/bookmarklet"), bookmarklet="javascript:void 0", expect="no such text",
        timeout=20, browser="chromium",
    )  # fmt: skip
    assert run_suite(toml).status == 1
    first = bugsink.raw()
    assert "\x89PNG"[1:] in first
    assert first.count('"filename":"screenshot') == first.count('"filename":"page source') == 1, first[:4000]
    age_alerts(tmp_path / "state", timedelta(hours=2))
    assert run_suite(toml).status == 1
    assert len(bugsink.events()) == 2
    assert bugsink.raw().count('"filename":') == first.count('"filename":')


LEAKS = """
    import logging
    from pathlib import Path
    import psycopg2, requests
    from healthchecks import Secret, Target, attach, capture_message, probe

    class Leak(Target):
        password: Secret
        how: str

    @probe
    def answer(leak: Leak) -> str:
        password = leak.password.reveal()
        url = f"http://user:{password}@127.0.0.1:9/?api_key={password}"
        attach("page source", f"<input value='{password}'>")
        if leak.how == "log":
            logging.getLogger("shop").error("cannot log in with %s at %s", password, url)
            return "ok"
        if leak.how == "message":
            capture_message(f"password is {password}", password=password, note=url)
            return "ok"
        if leak.how == "psycopg2":
            psycopg2.connect(f"host=127.0.0.1 port=9 user=me password={password} dbname=x")
        if leak.how == "requests":
            requests.get(url, timeout=60)
        if leak.how == "bug":
            return {}[f"{password} at {url}"]
        raise AssertionError(f"{leak.how}: {password}, {url}, Authorization: Bearer {password}")

    def test_leak(leak, answer):
        dsn = url = leak.password.reveal()
        assert answer == "ok"
"""
SECRET = "pä55 w@rd/with'quotes&more"


def test_no_secret_is_in_anything_that_is_sent_or_kept(tmp_path, kent, bugsink):
    """Six ways in which checks leak, each to both servers; and history, page, junit, log and spool of the run."""
    shops = Shops(tmp_path)
    shops.write("test_mine.py", LEAKS)
    tables = "".join(
        f"[leak.{how}]\nhow = '{how}'\npassword = '''{SECRET}'''\n"
        for how in ("log", "message", "psycopg2", "requests", "bug", "assertion")
    )
    shops.configure(tables)
    files = ["test_mine.py", "--junitxml=junit.xml", "--log-file=run.log", "--log-file-level=DEBUG"]
    output = shops.alert(bugsink.dsn).run(*files).output
    assert len(bugsink.events()) == 6
    shops.configure(tables + "[state]\ndirectory = 'other'\n")
    output += shops.alert(kent.dsn).run(*files).output
    assert len({each["event_id"] for each in kent.events()}) == 6  # it stumbles over attachments, and is sent again
    shops.configure(tables + "[state]\ndirectory = 'third'\n")
    output += shops.alert("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1").run(*files).output
    assert len(list((shops.folder / "third" / "spool" / "sentry").glob("*-*-*"))) == 6
    written = output + bugsink.raw() + repr(kent.envelopes()) + everything(shops.folder)
    for form in forms_of(SECRET) | {"0123456789abcdef"}:
        assert form not in written, written[max(0, written.index(form) - 200) :][:400]


def forms_of(secret):
    return {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], "w@rd", "w%40rd", "quotes"}


def everything(folder):
    files = [each for each in folder.rglob("*") if each.is_file() and each.suffix not in (".toml", ".py")]
    return "".join(each.read_bytes().decode(errors="replace") for each in files)
