"""`--monitoring-test-alert`: one alert to each channel, and what each answered."""

import json
import re

import pytest

from servermonitoring.delivery.attempt import DeliveryOutcome
from servermonitoring.delivery.spool import SpoolEntry
from servermonitoring.delivery.webhook import Webhook
from tests.healthchecks.plugin.alerting.shops import Shops

OPTION = "--monitoring-test-alert"


@pytest.fixture
def shops(tmp_path):
    return Shops(tmp_path, "a")


def configure(shops, url, only=""):
    shops.configure(
        f"[shop.a]\n[alerts]\nwebhook = '{url}'\n{only}\n[dashboard]\nurl = 'https://status.example.com/'\n"
    )


def test_each_channel_is_sent_one_alert_and_nothing_else_happens(shops, website, bugsink):
    """No check runs, and what waits in a spool goes on waiting. What a channel takes otherwise is shown."""
    website.answer("/hooks/T0KEN", "thank you")
    configure(shops, website.url("/hooks/T0KEN"), "webhook_only = ['shared', 'failed']")
    waiting = shops.state / "spool" / "webhook" / SpoolEntry.new().name
    waiting.parent.mkdir(parents=True)
    waiting.write_text("{}")
    outcome = shops.alert(bugsink.dsn).run("test_mine.py", OPTION)
    assert outcome.status == 0, outcome.output
    (event,) = bugsink.events()
    sentry, webhook = outcome.output.splitlines()
    identity = re.fullmatch(r'Sentry: accepted: 200 OK: \{"id": ?"([0-9a-f-]+)"\}', sentry)[1].replace("-", "")
    assert identity == str(event.data["event_id"]).replace("-", "")
    assert webhook == "webhook (only failed, shared): accepted: 200 OK: thank you"
    assert (event.tags["action"], event.tags["check"]) == ("alert", "suite")
    (document,) = (json.loads(each.body) for each in website.requests)
    assert document["action"] == "test"
    assert re.fullmatch(r"suite\[test\]: test alert of \S+, sent by hand: nothing is wrong", document["title"])
    assert (document["link"], document["id"]) == ("https://status.example.com/", identity)
    assert [each for each in shops.state.rglob("*") if each.is_file()] == [waiting]
    assert not shops.page.exists()


def test_what_is_not_accepted_is_shown_with_its_reason(shops, website, bugsink):
    """Sentry's success is none for the webhook; no secret is in the output."""
    website.answer("/hooks/T0KEN", "no_text", status=400)
    configure(shops, website.url("/hooks/T0KEN"))
    outcome = shops.alert(bugsink.dsn).run(OPTION)
    assert outcome.status == 1
    assert "Sentry: accepted: 200 OK" in outcome.output
    assert "webhook: not accepted: responds with 400 Bad Request: no_text\n" in outcome.output
    configure(shops, "http://127.0.0.1:9/hooks/T0KEN")
    outcome = shops.alert("http://0123456789abcdef@127.0.0.1:9/1").run(OPTION)
    assert outcome.status == 1
    assert outcome.output.splitlines() == [
        f"{name}: not accepted: cannot be reached: connection refused" for name in ("Sentry", "webhook")
    ]


def test_services_of_apprise_are_sent_it_too(shops, smtp, website):
    """A wrong URL and a service that refuses have a line each."""
    mail = f"mailto://127.0.0.1:{smtp.port}?from=a@example.com&to=b@example.com"
    website.answer("/refusing", "no_text", status=400)
    refusing = f"json://127.0.0.1:{website.port}/refusing"
    shops.configure(f"[shop.a]\n[alerts]\nnotify = ['{mail}', '{refusing}', 'slack://T0KEN']\n")
    outcome = shops.run(OPTION)
    assert outcome.status == 1
    wrong, *tried = outcome.output.splitlines()
    assert wrong.startswith("alerts: [alerts] notify: entry 3 (slack://…) is not a complete URL of Slack: see https://")
    assert tried == [
        "E-Mail: accepted: sent by apprise",
        "JSON: not accepted: responds with 400 Bad Request: no_text",
    ]
    (message,) = smtp.messages()
    assert message["Subject"].startswith("Test: suite[test]: test alert of ")


def test_where_no_channel_is_there_is_nothing_to_test(shops):
    for text, said in [
        ("[shop.a]\n", "no channel is configured: no [sentry] dsn, $HEALTHCHECKS_SENTRY_DSN, [alerts] webhook or "),
        ("[alerts]\nwebhok = 'x'\n", '[alerts]: unknown key "webhok"; did you mean "webhook"?'),
    ]:
        shops.configure(text)
        outcome = shops.run(OPTION)
        assert outcome.status == 4
        assert said in outcome.output
    configure(shops, "chat.example.com/T0KEN")
    outcome = shops.run(OPTION)
    assert (outcome.status, outcome.output) == (1, "alerts: the webhook is not a URL: write https://HOST/PATH\n")


@pytest.mark.parametrize("behaviour", ["hole", "drip_header"])
def test_a_channel_that_hangs_is_given_up(tmp_path, bad, behaviour):
    webhook = Webhook(bad.url(behaviour), tmp_path / "spool")
    entry = webhook.spool.put(b"{}")
    attempt = webhook.outbox.try_once(entry, 0.3)
    assert (attempt.outcome, attempt.error) == (DeliveryOutcome.RETRY, "the webhook does not respond within 0.3 s")
