"""The webhook: one JSON document for each POST, through a spool."""

import json

import pytest

from servermonitoring.delivery.webhook import Webhook
from servermonitoring.scrubbing import scrub

SECRET_PATH = "/hooks/T0KEN-of-the-hook"


@pytest.fixture
def webhook(receiver, tmp_path):
    return Webhook(f"http://127.0.0.1:{receiver.port}{SECRET_PATH}?a=b", tmp_path / "spool")


def test_a_document_arrives_as_json(webhook, receiver):
    webhook.post({"check": "website[home]", "count": 3, "text": "ü password=hunter22"})
    assert webhook.outbox.deliver(5).sent == 1
    assert json.loads(receiver.received[0]) == {"check": "website[home]", "count": 3, "text": "ü password=[Filtered]"}
    assert receiver.requests[0]["Content-Type"] == "application/json"
    assert receiver.paths == [f"{SECRET_PATH}?a=b"]


def test_one_that_comes_twice_can_be_recognized(webhook, receiver):
    """The response to the first may have been lost."""
    webhook.post({"one": 1})
    receiver.answer(500, times=1)
    webhook.outbox.deliver(5)
    receiver.answer(202)
    webhook.outbox.deliver(5)
    webhook.post({"two": 2})
    webhook.outbox.deliver(5)
    first, again, other = (headers["X-Delivery"] for headers in receiver.requests)
    assert first == again != other


def test_those_of_one_key_arrive_in_order(webhook, receiver):
    for number in range(20):
        webhook.post({"number": number}, key="the same")
    webhook.outbox.deliver(10)
    assert [json.loads(body)["number"] for body in receiver.received] == list(range(20))


def test_its_address_is_never_shown(webhook, receiver):
    receiver.answer(403)
    webhook.post({"one": 1})
    tally = webhook.outbox.deliver(5)
    assert tally.error == "the webhook responds with 403 Forbidden: check its address and key"
    receiver.stop()
    error = webhook.outbox.deliver(5).error
    receiver.start()
    assert error == "the webhook cannot be reached: connection refused"
    assert "T0KEN" not in repr(webhook.destination.connection()._address)
    assert "T0KEN" not in scrub(f"http://127.0.0.1:{receiver.port}{SECRET_PATH}?a=b")


@pytest.mark.parametrize("url", ["", "T0KEN", "ftp://T0KEN/", "https:///T0KEN", "https://h:T0KEN/", "https://[T0KEN/"])
def test_what_is_no_url_is_an_error_that_does_not_show_it(tmp_path, url):
    with pytest.raises(ValueError, match="the webhook is not a URL: write https://HOST/PATH") as raised:
        Webhook(url, tmp_path)
    assert "T0KEN" not in str(raised.value)


def test_what_is_no_document_raises_nothing_and_is_an_error(webhook):
    webhook.post({"set": {1, 2}})
    assert "a document for the webhook could not be created" in webhook.tally().error


def test_in_the_background(webhook, receiver):
    webhook.start()
    webhook.post({"one": 1})
    assert webhook.finish(5).sent == 1
    assert len(receiver.received) == 1
