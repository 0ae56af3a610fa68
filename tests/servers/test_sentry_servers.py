"""The servers that stand in Sentry's place return what has come to them."""

import json
import urllib.request
from urllib.parse import urlsplit

import pytest


@pytest.fixture
def sdk():
    """A client of Sentry's, as it comes; sends at once."""
    import sentry_sdk

    def capture(dsn, event, **hint):
        client = sentry_sdk.Client(dsn=dsn, default_integrations=False, auto_enabling_integrations=False)
        client.capture_event(event, hint=hint)
        client.close(timeout=60)

    return capture


def test_bugsink_shows_issues_events_tags_and_texts(bugsink, sdk):
    from sentry_sdk.attachments import Attachment

    event = {"message": "website[home]: gone", "fingerprint": ["a"], "tags": {"check": "website"}}
    for number in "12":
        sdk(bugsink.dsn, {**event, "event_id": number * 32}, attachments=[Attachment(b"of the page", filename="p.txt")])
    sdk(bugsink.dsn, {**event, "event_id": "1" * 32})
    (issue,) = bugsink.issues()
    assert (issue.title, issue.events, issue.resolved) == ("website[home]: gone", 2, False)
    first, second = bugsink.events()
    assert [first.event_id, second.event_id] == ["1" * 32, "2" * 32]
    assert (first.issue, first.message, first.tags["check"]) == (issue.id, issue.title, "website")
    assert first.data["fingerprint"] == ["a"]
    assert "of the page" in bugsink.raw()
    bugsink.resolve(issue)
    assert bugsink.issues()[0].resolved


def test_bugsink_shows_no_event_without_its_tags(bugsink, sdk, monkeypatch):
    """Also one that comes between the reading of events and of tags."""
    read_tags = bugsink._tags

    def tags_and_then_an_event():
        found = read_tags()
        sdk(bugsink.dsn, {"message": "one", "tags": {"check": "website"}})
        return found

    monkeypatch.setattr(bugsink, "_tags", tags_and_then_an_event)
    assert bugsink.events() == []
    assert [event.tags["check"] for event in bugsink.events()] == ["website"]


def test_bugsink_keeps_what_it_has_while_it_is_stopped(bugsink, sdk):
    sdk(bugsink.dsn, {"message": "one"})
    bugsink.stop()
    bugsink.start()
    assert [event.message for event in bugsink.events()] == ["one"]


def test_each_test_has_a_project_of_its_own(bugsink, kent, sdk):
    for server in (bugsink, kent):
        sdk(server.dsn, {"message": "of another"})
        assert server.events()
        assert server.fresh().events() == []


def test_kent_shows_check_ins_and_envelopes(kent, sdk):
    check_in = {"type": "check_in", "monitor_slug": "healthchecks", "status": "ok", "check_in_id": "1" * 32}
    sdk(kent.dsn, check_in)
    sdk(kent.dsn, {"message": "one"})
    (came,) = kent.check_ins()
    assert (came["monitor_slug"], came["status"]) == ("healthchecks", "ok")
    assert [event["message"] for event in kent.events()] == ["one"]
    assert [len(envelope.items) for envelope in kent.envelopes()] == [1, 1]
    assert "sent_at" in kent.envelopes()[1].header


def test_a_wrong_key_is_refused_by_bugsink(bugsink):
    parts = urlsplit(bugsink.dsn)
    request = urllib.request.Request(
        f"{bugsink.url}/api{parts.path}/envelope/",
        json.dumps({}).encode(),
        {"X-Sentry-Auth": f"Sentry sentry_key={'0' * 32}"},
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=60)
