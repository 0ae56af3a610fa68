"""Pings of the three formats, and what the service's response means."""

from urllib.parse import parse_qs, urlsplit

import pytest

from servermonitoring.delivery.heartbeat import Ping, PingFormat, PingRequest, PingService, PingSignal
from servermonitoring.scrubbing import remember

RUN = "0b3a6c2e-5a1c-4f7e-9a57-1d2f3a4b5c6d"
REPORT = "web1: 2 of 14 checks failed\nFAILED website[home]  status 502"


@pytest.mark.parametrize(
    ("url", "format_"),
    [
        ("https://hc-ping.com/5f0c", "healthchecks.io"),
        ("https://hc.example.com/ping/5f0c", "healthchecks.io"),
        ("https://kuma.example.com/api/push/T0ken?status=up&msg=OK&ping=", "kuma"),
        ("https://uptime.betterstack.com/api/v1/heartbeat/5f0c", "plain"),
    ],
)
def test_the_format_is_known_by_the_address(url, format_):
    assert PingFormat.of_url(url) == format_


@pytest.mark.parametrize("url", ["hc-ping.com/5f0c", "file:///etc/passwd", "https://:99/", "https://h:0/", ""])
def test_what_is_no_address_is_not_shown(url):
    with pytest.raises(ValueError, match=r"\[heartbeat\] has a value that is not a URL: write ") as caught:
        PingService(url, PingFormat.PLAIN)
    assert not url or url not in str(caught.value)


def test_healthchecks_is_sent_start_success_and_failure(website):
    service = PingService(website.url("/ping/5f0c/?create=1"), PingFormat.HEALTHCHECKS)
    for suffix in ("/start", "", "/fail"):
        website.answer(f"/ping/5f0c{suffix}", "OK")
    for signal in PingSignal:
        assert PingRequest(service, Ping(signal, REPORT, RUN, 1.5)).send() == ""
    requests = [(each.method, urlsplit(each.path).path, each.body) for each in website.requests]
    assert requests == [("POST", f"/ping/5f0c{suffix}", REPORT) for suffix in ("/start", "", "/fail")]
    assert {urlsplit(path).query for path in website.paths} == {f"create=1&rid={RUN}"}


def test_kuma_is_sent_status_message_and_duration(website):
    """The address as Kuma shows it has a query already; a start is unknown to it."""
    remember("hunter22")
    website.answer("/api/push/T0ken", '{"ok":true}')
    service = PingService(website.url("/api/push/T0ken?status=up&msg=OK&ping="), PingFormat.KUMA)
    for signal in (PingSignal.SUCCESS, PingSignal.FAILURE):
        assert PingRequest(service, Ping(signal, f"hunter22 {REPORT}", RUN, 1.5)).send() == ""
    queries = [parse_qs(urlsplit(each.path).query) for each in website.requests]
    assert [each["status"] for each in queries] == [["up"], ["down"]]
    assert [each["ping"] for each in queries] == [["1500"]] * 2
    assert {each["msg"][0].partition(" ")[2] for each in queries} == {"web1: 2 of 14 checks failed"}
    assert not any("hunter22" in path for path in website.paths)
    assert {each.method for each in website.requests} == {"GET"}
    assert not service.expects(PingSignal.START)


def test_a_plain_service_is_sent_successes_only(website):
    website.answer("/beat", "whatever")
    service = PingService(website.url("/beat?key=5f0c"), PingFormat.PLAIN)
    assert [each for each in PingSignal if service.expects(each)] == [PingSignal.SUCCESS]
    assert PingRequest(service, Ping(PingSignal.SUCCESS, REPORT, RUN)).send() == ""
    assert [(each.method, each.path) for each in website.requests] == [("GET", "/beat?key=5f0c")]


@pytest.mark.parametrize(
    ("format_", "response", "error", "tries"),
    [
        ("healthchecks.io", (200, "OK (not found)"), "200 OK: OK (not found)", 1),
        ("healthchecks.io", (200, "<title>log in</title>"), "200 OK: <title>log in</title>", 1),
        ("healthchecks.io", (409, "ambiguous slug"), "409 Conflict: ambiguous slug", 1),
        ("healthchecks.io", (503, ""), "503 Service Unavailable", 4),
        ("kuma", (404, '{"ok":false,"msg":"Monitor not found"}'), "404 Not Found: ", 1),
        ("kuma", (200, "<title>log in</title>"), "200 OK: <title>log in</title>", 1),
        ("plain", (404, ""), "404 Not Found", 1),
    ],
)
def test_what_is_no_confirmation_is_said(website, format_, response, error, tries):
    """A response that may be another one next time is asked for again."""
    status, text = response
    website.answer("/ping", text, status=status)
    service = PingService(website.url("/ping"), PingFormat(format_))
    pauses = []
    said = PingRequest(service, Ping(PingSignal.SUCCESS)).send(pause=pauses.append)
    assert said.startswith(f"the service ({format_}) responds with {error}")
    assert (len(website.requests), pauses) == (tries, [0.5, 1.0, 2.0][: tries - 1])


def test_nobody_there_is_tried_again_until_the_time_is_over():
    service = PingService("http://127.0.0.1:9/ping/5f0c", PingFormat.HEALTHCHECKS)
    pauses = []
    request = PingRequest(service, Ping(PingSignal.SUCCESS))
    assert request.send(pause=pauses.append) == "the service (healthchecks.io) cannot be reached: connection refused"
    assert len(pauses) == 3
    request.cut()
    request.send(pause=pauses.append)
    assert len(pauses) == 3
