"""Events, attachments and check-ins as Sentry gets them: whole, once, and without a secret."""

import ssl
import time
from urllib.parse import quote, quote_plus

import psycopg2
import pytest
import requests
import sentry_sdk
from sentry_sdk.utils import event_from_exception

from servermonitoring.delivery import connection
from servermonitoring.delivery.sentry import EnvelopeAttachment, Origin, Sentry
from servermonitoring.scrubbing import FILTERED
from servermonitoring.secret import Secret
from tests.servers import certificates
from tests.servers.relay import Relay
from tests.servers.server import HOST, until

PASSWORD = "p@ss w0rd/50%s3cret"
LOOSE = "hunter22loose"  # in no configuration: recognized by its form only
PNG = b"\x89PNG\r\n\x1a\n\x00\x00password=not-a-text"


@pytest.fixture
def to(tmp_path):
    """An object that sends to this DSN."""

    def to(dsn, **options):
        return Sentry(dsn, tmp_path / "spool", Origin("tests", "release 1", "web1"), **options)

    return to


def test_an_event_as_it_was_given(to, bugsink):
    sentry = to(bugsink.dsn)
    event = {
        "event_id": "1" * 32,
        "message": "website[home]: gone",
        "level": "warning",
        "fingerprint": ["website", "home"],
        "tags": {"check": "website", "group": "ü"},
        "contexts": {"check": {"duration": 1.5, "since": None, "up": True}},
        "breadcrumbs": {"values": [{"message": "asked", "category": "log"}]},
    }
    assert sentry.capture(event) == sentry.capture(event) == "1" * 32
    assert (sentry.outbox.deliver(30).sent, len(bugsink.events())) == (2, 1)
    (stored,) = bugsink.events()
    for name in ("message", "level", "fingerprint", "tags"):
        assert stored.data[name] == event[name]
    assert stored.data["contexts"]["check"] == event["contexts"]["check"]
    assert stored.data["breadcrumbs"]["values"][0]["message"] == "asked"
    assert {"environment": "tests", "release": "release 1", "server_name": "web1"}.items() <= stored.tags.items()


def test_sent_at_is_of_the_sending_and_the_timestamp_of_the_event(to, kent):
    sentry = to(kent.dsn)
    sentry.capture({"message": "one"})
    before = next(sentry.spool.directory.iterdir()).read_text().partition("\n")[0]
    sentry.outbox.deliver(10)
    (envelope,) = kent.envelopes()
    assert envelope.header["sent_at"] not in before
    assert kent.events()[0]["timestamp"] < envelope.header["sent_at"]


def test_attachments_that_are_text_are_scrubbed_and_pictures_are_not(to, bugsink):
    sentry = to(bugsink.dsn)
    files = [
        EnvelopeAttachment("page.html", f"<p>password={LOOSE} ü".encode()),
        EnvelopeAttachment("page.png", PNG, "image/png"),
    ]
    sentry.capture({"message": "one"}, files)
    (spooled,) = sentry.spool.directory.iterdir()
    assert LOOSE.encode() not in spooled.read_bytes()
    assert PNG in spooled.read_bytes()
    sentry.outbox.deliver(10)
    assert f"<p>password={FILTERED} ü" in bugsink.raw()
    assert LOOSE not in bugsink.raw()


def test_a_very_long_message_is_cut_and_no_half_of_a_secret_is_left_over(to, kent):
    Secret("s3cret" * 100)
    sentry = to(kent.dsn)
    sentry.capture({"message": "x" * 8000 + "s3cret" * 100})
    sentry.capture({"message": "y" * 5_000_000})
    sentry.outbox.deliver(30)
    for event in kent.events():
        assert len(event["message"]) <= 8192
        assert "s3cret" not in event["message"]


def test_what_cannot_be_made_an_event_raises_nothing_and_is_reported(to, kent):
    sentry = to(kent.dsn)
    deep = {}
    deep["deep"] = deep
    assert sentry.capture({"message": "x", "extra": deep}) is None
    assert "an event could not be created" in sentry.tally().error
    assert sentry.capture({"message": object(), "extra": {1: {2, 3}}})


def of_exception(raise_it) -> dict:
    """Everything that Sentry's SDK finds in an exception by itself: variables, source lines, chained exceptions."""
    password, dsn = PASSWORD, f"postgresql://me:{PASSWORD}@db/x"  # noqa: F841 - the SDK finds them
    try:
        raise_it()
    except Exception as error:  # noqa: BLE001 - of whatever client
        options = {"include_local_variables": True, "include_source_context": True, "max_value_length": None}
        return event_from_exception(error, client_options=options)[0]
    raise AssertionError("it raised nothing")


def chained():
    try:
        int(PASSWORD)
    except ValueError as error:
        raise RuntimeError(f"again with {quote_plus(PASSWORD)}") from error


def leaks(website) -> dict[str, dict]:
    """Events as careless code makes them."""
    url = f"{website.url('/status/500')}?api_key={LOOSE}&password={quote(PASSWORD)}"
    text = {
        "password in a DSN": f"cannot connect to host=db user=me password='{PASSWORD}' dbname=x",
        "password in a URL": f"amqp://me:{PASSWORD}@mq/ is down",
        "quoted password in a URL": f"amqp://me:{quote(PASSWORD, safe='')}@mq/ is down",
        "unknown password in a URL": f"https://me:{LOOSE}@host/path",
        "unknown key in a query": f"GET /?page=1&api_key={LOOSE} failed",
        "bearer": f"Authorization: Bearer {LOOSE}",
        "JSON": f'{{"user": "me", "token": "{LOOSE}"}}',
        "repr": repr({"password": LOOSE, "other": PASSWORD}),
        "cookie": f"Cookie: sessionid={LOOSE}",
        "list": f"called with {['--password', PASSWORD]}",
    }
    events = {name: {"message": message} for name, message in text.items()}
    events |= {
        "log and its parameters": {"logentry": {"message": "login %s of %s", "params": ["me", PASSWORD]}},
        "tag": {"message": "m", "tags": {"url": f"https://me:{LOOSE}@host/", "secret": LOOSE}},
        "context": {"message": "m", "contexts": {"check": {"dsn": PASSWORD, "password": LOOSE, "list": [PASSWORD]}}},
        "extra": {"message": "m", "extra": {"config": {"deep": {"api_key": 12345678, "cfg": PASSWORD}}}},
        "breadcrumb": {"message": "m", "breadcrumbs": {"values": [{"message": f"asked {url}", "data": {"url": url}}]}},
        "fingerprint": {"message": "m", "fingerprint": [f"password={LOOSE}", PASSWORD]},
        "key of a dictionary": {"message": "m", "extra": {PASSWORD: "value"}},
        "user": {"message": "m", "user": {"id": f"me:{PASSWORD}", "token": LOOSE}},
        "request": {"message": "m", "request": {"url": url, "headers": {"Authorization": f"Basic {LOOSE}"}}},
        "exception, variables, lines": of_exception(chained),
        "psycopg2, odd password": of_exception(lambda: psycopg2.connect(f"host=x user=me password={PASSWORD}")),
        "psycopg2, URL": of_exception(lambda: psycopg2.connect(f"postgresql://me:{PASSWORD}@127.0.0.1:1/x")),
        "requests, status": of_exception(lambda: requests.get(url, timeout=60).raise_for_status()),
        "requests, no connection": of_exception(lambda: requests.get(f"http://me:{LOOSE}@127.0.0.1:1/", timeout=60)),
    }
    return events


def test_24_leaks_are_stopped(to, bugsink, kent, website):
    """In what Bugsink and kent stored, and in the files of the spool."""
    events = leaks(website)
    written = (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), quote_plus(PASSWORD), LOOSE)
    assert len(events) == 24
    assert [name for name, event in events.items() if not any(each in str(event) for each in written)] == []
    Secret(PASSWORD)  # as it is in the configuration
    sentry = to(bugsink.dsn)
    for event in events.values():
        assert sentry.capture(dict(event))
    spooled = [path.read_text() for path in sentry.spool.directory.iterdir()]
    assert (len(spooled), sentry.outbox.deliver(60).sent) == (24, 24)
    another = Sentry(kent.dsn, sentry.spool.directory.with_name("kent"))
    for event in events.values():
        another.capture(dict(event))
    another.outbox.deliver(60)
    assert (len(bugsink.events()), len(kent.events())) == (24, 24)
    stored = "\n".join([bugsink.raw(), str(kent.envelopes()), *spooled])
    for secret in (*written, "50%s3cret", "12345678"):
        assert secret not in stored


def test_the_application_s_own_sdk_and_ours_see_nothing_of_each_other(to, bugsink, kent, website):
    """Our events do not reach their project, their tags do not reach our events, requests get no headers."""
    seen = []
    sentry_sdk.init(bugsink.dsn, default_integrations=False, before_send=lambda event, _hint: seen.append(event))
    try:
        sentry_sdk.set_tag("theirs", "yes")
        sentry = to(kent.dsn)
        sentry.capture({"message": "ours"})
        sentry.outbox.deliver(10)
    finally:
        sentry_sdk.get_client().close(timeout=1)
        sentry_sdk.init(default_integrations=False)
    assert seen == []
    assert "theirs" not in kent.events()[0].get("tags", {})
    requests.get(website.url("/"), timeout=60)
    assert not {"sentry-trace", "baggage"} & website.requests[-1].headers.keys()


def test_check_ins(to, kent):
    sentry = to(kent.dsn)
    config = {"schedule": {"type": "crontab", "value": "*/10 * * * *"}, "checkin_margin": 5}
    first = sentry.check_in("healthchecks", "in_progress", monitor_config=config, timeout=0)
    assert sentry.check_in("healthchecks", "ok", first, timeout=60) == first
    came = kent.check_ins()
    assert [(each["check_in_id"], each["status"]) for each in came] == [(first, "in_progress"), (first, "ok")]
    assert (came[0]["monitor_slug"], came[0]["monitor_config"]) == ("healthchecks", config)
    assert (came[0]["environment"], came[0]["release"]) == ("tests", "release 1")
    assert sentry.tally().check_in == ""


def test_a_check_in_that_fails_is_reported_and_never_sent_later(to, kent):
    with Relay(kent.dsn) as relay:
        relay.answer(500)
        sentry = to(relay.dsn)
        sentry.check_in("healthchecks", "ok", timeout=60)
        failed = sentry.tally().check_in
        assert failed == "check-in 'ok' did not reach Sentry: it responds with 500 Internal Server Error"
        relay.recover()
        assert sentry.finish(5).waiting == 0
    sentry.check_in("healthchecks", "ok", timeout=60)
    assert sentry.tally().check_in == "check-in 'ok' did not reach Sentry: connection refused"
    assert kent.check_ins() == []


def test_a_check_in_nobody_answers_holds_up_no_longer_than_it_may(to, kent):
    with Relay(kent.dsn) as relay:
        relay.hang()
        sentry = to(relay.dsn)
        sentry.check_in("healthchecks", "ok", timeout=0.2)
        assert sentry.tally().check_in == "no response from Sentry to the check-in in time"


def test_what_waits_is_delivered_in_the_background(to, kent):
    """From its start, and whatever comes later."""
    to(kent.dsn).capture({"message": "of an earlier run"})
    sentry = to(kent.dsn)
    sentry.start()
    until(kent.events, what="the event that waited")
    sentry.capture({"message": "of this run"})
    until(lambda: len(kent.events()) == 2, what="the second event")
    assert sentry.finish(60).sent == 2


def test_the_end_waits_no_longer_than_it_may_for_what_was_begun_in_the_background(to, kent):
    with Relay(kent.dsn) as relay:
        relay.hang()
        sentry = to(relay.dsn)
        sentry.start()
        sentry.capture({"message": "one"})
        until(lambda: relay.received, what="the request")
        began = time.monotonic()
        tally = sentry.finish(1)
        assert time.monotonic() - began < 30  # a second, and what a busy machine may need besides
        assert (tally.waiting, tally.error) == (1, "Sentry does not respond in time")


@pytest.fixture
def tls(tmp_path):
    """Certificates, and the context of a server that has the named one."""
    made = certificates.make(tmp_path)

    def context(name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(getattr(made, name))
        return context

    return made.authority, context


@pytest.mark.parametrize("name", ["good", "expired", "other_host", "self_signed"])
def test_certificates_are_verified(to, kent, tls, name):
    authority, context = tls
    with Relay(kent.dsn, context(name)) as relay:
        sentry = to(relay.dsn, ca_certs=str(authority))
        sentry.capture({"message": "one"})
        tally = sentry.outbox.deliver(10)
        assert (tally.sent, tally.waiting) == ((1, 0) if name == "good" else (0, 1))
        assert tally.error.startswith("" if name == "good" else "Sentry cannot be reached: certificate not accepted")


def test_an_authority_of_the_system_is_trusted(to, kent, tls, monkeypatch):
    """As one that update-ca-certificates installed."""
    connection._context.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    with Relay(kent.dsn, tls[1]("good")) as relay:
        sentry = to(relay.dsn)
        sentry.capture({"message": "one"})
        assert sentry.outbox.deliver(10).sent == 1
    connection._context.cache_clear()


def test_an_unknown_authority_is_not_trusted(to, kent, tls):
    with Relay(kent.dsn, tls[1]("good")) as relay:
        sentry = to(relay.dsn)
        sentry.capture({"message": "one"})
        assert "certificate not accepted" in sentry.outbox.deliver(10).error


def test_a_missing_file_of_certificates_is_an_error(to):
    sentry = to("https://0123456789abcdef@127.0.0.1:1/1", ca_certs="/nowhere.pem")
    sentry.capture({"message": "one"})
    assert sentry.outbox.deliver(10).error == "Sentry cannot be reached: no such file or directory"


def test_a_proxy_is_used_but_not_for_hosts_that_are_excepted(to, kent, monkeypatch):
    with Relay(kent.dsn) as relay:
        relay.take()
        monkeypatch.setenv("http_proxy", f"http://me:s3cret@{HOST}:{relay.port}")
        monkeypatch.setenv("no_proxy", HOST)
        sentry = to("http://0123456789abcdef@sentry.example.com/1")
        sentry.capture({"message": "one"})
        assert sentry.outbox.deliver(10).sent == 1
        (headers,) = relay.requests
        assert (headers["Host"], headers["Proxy-Authorization"]) == ("sentry.example.com", "Basic bWU6czNjcmV0")
        direct = to(kent.dsn)
        direct.capture({"message": "two"})
        assert direct.outbox.deliver(10).sent == 1
        assert len(relay.requests) == 1
    assert len(kent.events()) == 1


def test_redirects_are_not_followed(to, kent):
    """The event would go to an unknown server."""
    with Relay(kent.dsn) as relay:
        relay.answer(307, Location=f"{kent.url}/api/{kent.project}/envelope/")
        sentry = to(relay.dsn)
        sentry.capture({"message": "one"})
        error = sentry.outbox.deliver(10).error
        assert error.startswith("Sentry responds with 307 Temporary Redirect: check its address")
    assert kent.events() == []


def test_connections_are_kept(to, kent):
    """40 events one after another are one connection, not 40."""
    with Relay(kent.dsn) as relay:
        sentry = to(relay.dsn)
        for _ in range(40):
            sentry.capture({"message": "one", "fingerprint": ["same"]})
        assert sentry.outbox.deliver(30).sent == 40
        assert relay.connections <= 4
    assert [event["message"] for event in kent.events()] == ["one"] * 40


def test_those_of_one_issue_arrive_in_order(to, kent):
    sentry = to(kent.dsn)
    for number in range(30):
        sentry.capture({"message": str(number), "fingerprint": [str(number % 3)]})
    sentry.outbox.deliver(30)
    came = [int(event["message"]) for event in kent.events()]
    for issue in range(3):
        of_issue = [number for number in came if number % 3 == issue]
        assert of_issue == sorted(of_issue)
    assert len(came) == 30


def test_nothing_of_it_is_for_others_to_read(to, kent):
    sentry = to(kent.dsn)
    sentry.capture({"message": "one"})
    place = sentry.spool.directory
    assert place.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}
