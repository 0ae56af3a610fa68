"""The webhook in the form of Slack: what a chat takes and refuses, in a run, by the scheduled command, by the spool."""

import pytest

from servermonitoring.delivery.webhook import Webhook
from tests.healthchecks.plugin.alerting.shops import Shops
from tests.reliability import reliability
from tests.servers.slack import Slack

ALERTS = "--pyargs", "healthchecks.test_alerts"


@pytest.fixture
def slack():
    with Slack() as server:
        yield server


@pytest.fixture
def shops(tmp_path):
    return Shops(tmp_path, "a")


def settings(slack, more=""):
    url = slack.url("/services/T0/B0/K3y-of-the-chat")
    return f"[shop.a]\n[alerts]\nwebhook = '{url}'\n{more}\n[dashboard]\nurl = 'https://status.example.com/'\n"


@reliability(
    "Alerts",
    fault="a chat refuses the webhook's JSON",
    promise="the next run fails with the chat's words; with `webhook_format` it is sent, also what was refused",
)
def test_a_chat_that_refuses_our_json_takes_a_text(shops, slack):
    shops.configure(settings(slack))
    shops.say(a="closed <!channel> & more")
    assert "webhook: 1 refused" in shops.run().output
    outcome = shops.run(*ALERTS)
    assert outcome.status == 1
    assert "1 alert refused by webhook within a day: 400 Bad Request: no_text" in outcome.output
    assert slack.refusals == ["no_text"] * 2  # of the shop, and of the check of the alerts
    shops.configure(settings(slack, "webhook_format = 'slack'"))
    spool = shops.state / "spool" / "webhook"
    for each in (spool / "refused").iterdir():
        each.rename(spool / f"{each.name.partition('.')[0]}.0")
    assert "webhook: 2 sent" in shops.run("test_mine.py").output
    assert shops.run(*ALERTS).status == 0
    text = next(each for each in slack.texts if "shop[a]" in each)
    assert text.startswith("Failed: shop[a]: closed &lt;\u2060!channel&gt; &amp; more (")
    assert "\nPage: https://status.example.com/#" in text
    assert "K3y" not in outcome.output + "".join(slack.texts)


def test_the_scheduled_command_writes_in_the_same_form(checkout, slack):
    url = slack.url("/services/T0/B0/key")
    checkout.configure(f"[run]\nwrong = 1\n[alerts]\nwebhook = '{url}'\nwebhook_format = 'slack'\n", webhook=False)
    _, mail = checkout.run("healthchecks/test_tcp.py")
    assert mail.endswith("alert: sent to the webhook\n")
    (text,) = slack.texts
    assert text.startswith("Error: suite[run]: ")
    assert 'unknown key "wrong"' in text


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "null"])
def test_what_is_no_alert_is_not_sent(tmp_path, slack, content):
    webhook = Webhook(slack.url("/hook"), tmp_path, form="slack")
    webhook.spool.put(content.encode())
    webhook.post({"title": "second"})
    tally = webhook.outbox.deliver(20)
    assert (tally.sent, tally.refused) == (1, 1)
    assert slack.texts == ["second"]
    assert slack.refusals == []


def test_an_unknown_form_is_an_error(run_suite):
    outcome = run_suite("[alerts]\nwebhook_format = 'xml'\n")
    assert outcome.status == 4
    assert "[alerts] webhook_format" in outcome.output
    assert "'json' or 'slack'" in outcome.output
    assert '"xml"' in outcome.output or "'xml'" in outcome.output
