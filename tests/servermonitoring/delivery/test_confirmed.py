"""An alert is delivered when Sentry's response confirms it, not when any server responds."""

import pytest

from servermonitoring.delivery.sentry import EnvelopeAttachment, Origin, Sentry
from servermonitoring.delivery.webhook import Webhook
from tests.reliability import reliability
from tests.servers.relay import Relay

PORTAL = b"<html><body>Please accept the terms of use of this network</body></html>"


@pytest.fixture
def relay(bugsink):
    """In front of Bugsink, and able to misbehave."""
    with Relay(bugsink.dsn) as relay:
        yield relay


@pytest.fixture
def sentry(relay, tmp_path):
    return Sentry(relay.dsn, tmp_path / "spool", Origin("tests", "1", "web1"))


def endless(handler, _body):
    """A body that never ends, as fast as it is read."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        handler.wfile.write(b'{"id": "' + b"x" * 65536)


ANSWERS = {
    "a captive portal": (200, PORTAL),
    "no body": (200, b""),
    "JSON of another service": (200, b'{"status": "ok"}'),
    "the id of another event": (200, b'{"id": "0123456789abcdef0123456789abcdef"}'),
    "a list": (200, b"[1]"),
    "deeply nested": (200, b"[" * 60_000),
    "an odd encoding": (200, b'{"id": "\xff"}'),
    "created": (201, b"ok"),
    "no content": (204, b""),
}


@reliability(
    "Alerts",
    fault="a captive portal or a proxy responds with 200 in Sentry's place, or the response has no body or no end",
    promise="an alert counts as delivered only if the response names it; else it is kept, and the run reports that",
)
@pytest.mark.parametrize("answer", [*ANSWERS, "endless"])
def test_what_does_not_name_the_event_is_no_delivery(sentry, relay, bugsink, answer):
    event_id = sentry.capture({"message": "website[home]: gone"})
    if answer == "endless":
        relay._misbehave = endless
        said = "Sentry responds with 200 OK"
    else:
        status, body = ANSWERS[answer]
        relay.answer(status, body=body)
        said = f"Sentry responds with {status} "
    tally = sentry.outbox.deliver(20)
    assert (tally.sent, tally.waiting) == (0, 1)
    assert tally.error.startswith(said)
    assert "without confirming the alert: check its address and any proxy" in tally.error
    relay.recover()
    assert sentry.outbox.deliver(20).sent == 1
    assert [event.event_id for event in bugsink.events()] == [event_id]


@pytest.mark.parametrize(
    "body", [b'{"id": "0123456789ABCDEF-0123456789abcdef"}', b'{"id":"0123456789abcdef0123456789abcdef","more":[1]}\n']
)
def test_the_id_may_be_written_in_another_way(sentry, relay, body):
    sentry.capture({"message": "one", "event_id": "0123456789abcdef0123456789abcdef"})
    relay.answer(200, body=body)
    assert sentry.outbox.deliver(20).sent == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_webhook_may_respond_as_it_likes(tmp_path, status):
    with Relay("http://user@127.0.0.1:1/x") as relay:
        relay.answer(status, body=PORTAL if status != 204 else b"")
        webhook = Webhook(f"http://127.0.0.1:{relay.port}/", tmp_path / "spool")
        webhook.post({"one": 1})
        assert webhook.outbox.deliver(10).sent == 1


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"{}", ""),  # Sentry's
        (200, b"", ""),  # Bugsink's
        (200, PORTAL, "check-in 'ok' did not reach Sentry: the response 200 OK is not from Sentry"),
        (204, b"", "check-in 'ok' did not reach Sentry: the response 204 No Content is not from Sentry"),
    ],
)
def test_a_check_in_is_confirmed_by_a_response_of_sentry(sentry, relay, status, body, said):
    relay.answer(status, body=body)
    sentry.check_in("healthchecks", "ok", timeout=60)
    assert sentry.tally().check_in == said


def test_a_refusal_keeps_the_words_of_the_receiver(sentry, relay):
    """Scrubbed before it is cut, in one line."""
    sentry.capture({"message": "one"})
    relay.answer(400, body=b"invalid_payload\n  password=hunter22, \x1b[31m" + b"x" * 5000)
    sentry.outbox.deliver(20)
    reason = (sentry.spool.directory / "refused.txt").read_text()
    assert reason.startswith("400 Bad Request: invalid_payload password=[Filtered]")
    assert len(reason) < 300
    assert "\x1b" not in reason
    assert sentry.tally().error == "Sentry responds with 400 Bad Request"


@reliability(
    "Alerts",
    fault="the attachments of an alert are larger than any receiver takes",
    promise="the alert is sent without them",
)
def test_attachments_that_are_too_large_are_left_out(sentry, bugsink):
    files = [EnvelopeAttachment(f"page {number}.html", b"x" * 8_000_000) for number in range(3)]
    assert sentry.capture({"message": "website[home]: gone", "extra": {"more": "kept"}}, files)
    tally = sentry.outbox.deliver(30)
    assert (tally.sent, tally.dropped, tally.error) == (1, 0, "")
    (event,) = bugsink.events()
    assert event.message == "website[home]: gone"
    assert event.data["extra"]["attachments"].startswith("left out: 24 MB is too large")
    assert event.data["extra"]["more"] == "kept"
    assert "page 1.html" not in bugsink.raw()
