"""Alerts by apprise: to a real mail server and to services of the web, each with a spool and a process of its own."""

import contextlib
import json
import ssl
import sys
import threading
import time

import psutil
import pytest

from servermonitoring.delivery import notify_process, notify_url
from servermonitoring.delivery.notify import Notify, PartialDeliveries
from servermonitoring.delivery.notify_process import services_of
from servermonitoring.delivery.notify_services import NotifyServices
from servermonitoring.delivery.spool import DELIVERED
from servermonitoring.scrubbing import scrub
from tests.reliability import reliability
from tests.servers import certificates
from tests.servers.peers import peer
from tests.servers.relay import Relay
from tests.servers.server import HOST, until
from tests.servers.slack import Slack

ALERT = {
    "action": "alert", "title": "shop[a]: closed <b>", "message": "closed <b>", "status": "failed", "level": "error",
    "host": "web1", "since": "2026-11-24T04:10:00Z", "failures": 1, "link": "https://status.example.com/#shop",
}  # fmt: skip
TITLE = "Failed: shop[a]: closed <b> (web1)"
KEY = "K3yOfTheService9876"
LONG = 60.0  # seconds, on a busy machine


@pytest.fixture
def receiver():
    with Relay("http://user@127.0.0.1:1/x") as relay:
        relay.answer(200)
        yield relay


@pytest.fixture
def notify(tmp_path):
    """Return the channel of a URL."""
    return lambda url: Notify(notify_url.load([url])[0], "Service", tmp_path / "spool")


def to(receiver, path=f"/{KEY}"):
    return f"json://me:{KEY}-pw@{HOST}:{receiver.port}{path}"


def test_a_mail_arrives_with_title_and_body(notify, smtp):
    channel = notify(f"mailto://{HOST}:{smtp.port}?from=monitor@example.com&to=oncall@example.com")
    channel.post(ALERT | {"runbook": "call the plumber"})
    tally = channel.outbox.deliver(LONG)
    assert (tally.sent, tally.error) == (1, "")
    (mail,) = smtp.messages()
    assert mail["Subject"] == TITLE
    assert "monitor@example.com" in mail["From"]
    assert "oncall@example.com" in mail["To"]
    text = "".join(str(part.get_payload(decode=True).decode()) for part in mail.walk() if not part.is_multipart())
    for line in ("Since 2026-11-24 04:10 UTC", "https://status.example.com/#shop", "What to do: call the plumber"):
        assert line in text


def test_two_services_of_the_web_get_their_own_form(tmp_path, receiver):
    with Slack() as chat:
        urls = notify_url.load([to(receiver), f"mmost://{HOST}:{chat.port}/{KEY}"])
        channels = [Notify(url, url.service, tmp_path / url.service) for url in urls]
        for channel in channels:
            channel.post(ALERT)
            channel.post({**ALERT, "action": "recovered", "title": "shop[a]: recovered after 42 min"})
            assert channel.outbox.deliver(LONG).sent == 2, channel.tally()
        assert chat.paths == [f"/hooks/{KEY}"] * 2
        assert chat.texts[0].startswith(TITLE)
        assert all("image" not in each and "icon_url" not in each for each in chat.messages)
    first, second = map(json.loads, receiver.received)
    assert (first["title"], first["type"]) == (TITLE, "failure")
    assert (second["title"], second["type"]) == ("shop[a]: recovered after 42 min (web1)", "success")
    assert receiver.connections <= 2


@pytest.mark.parametrize(
    ("status", "said", "counts"),
    [
        (400, "Service responds with 400 Bad Request", (0, 1)),
        (403, "Service responds with 403 Forbidden: check its address and key", (1, 0)),
        (302, "Service responds with 302 Found: check its address and key", (1, 0)),
        (500, "Service responds with 500 Internal Server Error", (1, 0)),
        (503, "Service accepts no alerts for 2 min", (1, 0)),
        (429, "Service accepts no alerts for 2 min", (1, 0)),
    ],
)
def test_what_the_service_responds_is_understood(notify, receiver, status, said, counts):
    receiver.answer(status, body=b"no_text", Retry_After="120", Location="http://127.0.0.1:1/")
    channel = notify(to(receiver))
    channel.post(ALERT)
    tally = channel.outbox.deliver(LONG)
    assert tally.error == said
    assert (tally.waiting, tally.refused) == counts
    if tally.refused:
        assert (channel.spool.directory / "refused.txt").read_text() == "400 Bad Request: no_text"
    assert (channel.spool.pause() > 100) == (status in {429, 503})


def test_what_a_mail_server_refuses_is_refused_with_its_words(notify, replies):
    """And what it defers waits; what it says of the login is about the URL."""
    for code, counts in ((550, (0, 1)), (451, (1, 0)), (535, (1, 0))):
        port = replies({b"RCPT": f"{code} 5.1.1 no such user here".encode()})
        channel = notify(f"mailto://{HOST}:{port}?from=a@example.com&to=b@example.com")
        for each in channel.spool.waiting():
            channel.spool.remove(each)
        channel.post(ALERT)
        tally = channel.outbox.deliver(LONG)
        assert f"Service responds with SMTP {code}" in tally.error
        assert (tally.waiting, tally.refused) == counts
    assert "check its address and key" in tally.error
    assert (channel.spool.directory / "refused.txt").read_text() == "SMTP 550: 5.1.1 no such user here"


@reliability(
    "Alerts",
    fault="a URL of `[alerts] notify` has several recipients, and the service takes the alert for one of them only",
    promise="it is tried again for the others, and nobody gets it twice",
)
def test_a_recipient_that_has_the_alert_is_not_sent_it_again(notify, tmp_path):
    """By the next run, too, which has a process of its own; no address is in the file between them."""
    asked, deferred = [], [b"b@example.com", b"c@example.com"]

    def talk(connection):
        connection.sendall(b"220 mail.example.com ESMTP\r\n")
        lines = iter(connection.makefile("rb"))
        for line in lines:
            reply = b"250 ok"
            if line[:4].upper() == b"RCPT":
                asked.append(line.split(b"<")[1].split(b">")[0])
                reply = b"451 4.7.1 later" if asked[-1] in deferred else reply
            elif line[:4].upper() == b"DATA":
                connection.sendall(b"354 go on\r\n")
                next(each for each in lines if each == b".\r\n")
            connection.sendall(reply + b"\r\n")

    with peer(talk) as port:
        url = f"mailto://{HOST}:{port}?from=m@example.com&to=a@example.com,b@example.com,c@example.com"
        notify(url).post(ALERT)
        for deferring, expected, counts in (
            ([b"b@example.com", b"c@example.com"], b"abc", (0, 1)),
            ([b"c@example.com"], b"bc", (0, 1)),
            ([], b"c", (1, 0)),
        ):
            deferred[:] = deferring
            asked.clear()
            tally = notify(url).outbox.deliver(LONG)
            assert (tally.sent, tally.waiting, tally.unknown) == (*counts, 0), tally
            assert [*dict.fromkeys(each[:1] for each in asked)] == [bytes([each]) for each in expected]
        assert "example" not in (tmp_path / "spool" / DELIVERED).read_text()
        notify(url).post(ALERT)
        asked.clear()
        assert notify(url).outbox.deliver(LONG).sent == 1
        assert len(asked) == 3


def test_the_newest_partial_deliveries_are_kept(tmp_path):
    """Whatever their names are, and also of one that was delivered to somebody else again; across processes."""
    for number in [*range(60, 0, -1), 30]:
        PartialDeliveries(tmp_path / DELIVERED).keep(f"{number:02}", [f"digest {number}"])
    kept = {number for number in range(1, 61) if PartialDeliveries(tmp_path / DELIVERED).of(f"{number:02}")}
    assert kept == {*range(1, 41)}
    for number in range(61, 100):
        PartialDeliveries(tmp_path / DELIVERED).keep(f"{number}", ["digest"])
    assert PartialDeliveries(tmp_path / DELIVERED).of("30") == ["digest 30"]


@pytest.fixture
def replies():
    """Return the port of a mail server that greets and agrees, but to the commands that are given."""
    with contextlib.ExitStack() as stack:
        yield lambda odd: stack.enter_context(peer(mail_server(odd)))


def mail_server(odd):
    def talk(connection):
        connection.sendall(b"220 mail.example.com ESMTP\r\n")
        for line in connection.makefile("rb"):
            command = line[:4].upper()
            connection.sendall(odd.get(command, b"354 go on" if command == b"DATA" else b"250 ok") + b"\r\n")

    return talk


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("json://127.0.0.1:1/", "Service cannot be reached: connection refused"),
        ("json://host.invalid/", "Service cannot be reached: unknown host name"),
        ("mailto://127.0.0.1:1?from=a@example.com&to=b@example.com", "Service cannot be reached: connection refused"),
        ("slack://wrong", "Service cannot be reached: the URL is not a complete URL of Slack"),
    ],
)
def test_who_cannot_be_reached_keeps_it_waiting(notify, url, said):
    channel = notify(url)
    channel.post(ALERT)
    tally = channel.outbox.deliver(LONG)
    assert tally.error.startswith(said)
    assert (tally.waiting, tally.refused) == (1, 0)


@reliability(
    "Alerts",
    fault="a service of `[alerts] notify` accepts the connection and never responds",
    promise="its process is killed in time, its alert waits; no other service waits for it",
)
def test_one_that_hangs_holds_up_nobody_else(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(notify_process, "_LIMIT", 600.0)  # so that only the end of the run ends it
    receiver.hang()
    with Slack() as chat:
        slow, good = notify_url.load([f"{to(receiver)}?rto=600", f"mmost://{HOST}:{chat.port}/{KEY}"])
        channels = [Notify(url, url.service, tmp_path / url.service) for url in (slow, good)]
        for channel in channels:
            for key in "abcde":
                channel.post(ALERT, key)
            channel.start()
        until(lambda: len(chat.messages) == 5 and receiver.received, LONG, what="both have it")
        assert len(notifiers()) <= 2  # one for each URL
        before = time.monotonic()
        tally = channels[0].finish(1.0)
        assert time.monotonic() - before < 0.9 * 600
        assert (tally.sent, tally.waiting) == (0, 5)
        assert channels[1].finish(LONG).sent == 5
    until(lambda: not notifiers(), 25, what="end of the processes")  # apprise itself would wait for a minute


def notifiers():
    """Return the processes that send, of this one."""
    return [each for each in psutil.Process().children(recursive=True) if sends(each)]


def sends(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "delivery.notifier" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has just ended
        return False


def test_one_that_floods_is_bounded_and_harms_nobody(notify, receiver):
    """A response without end: its process has a gigabyte and half a minute, or what is left of the run."""

    def flood(handler, _body):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x" * 1_000_000)
        return True

    receiver._misbehave = flood
    channel = notify(to(receiver))
    channel.post(ALERT)
    tally = channel.outbox.deliver(8.0)
    assert (tally.sent, tally.waiting) == (0, 1)
    until(lambda: not notifiers(), LONG, what="end of the process")


@contextlib.contextmanager
def process_at_work(channel, receiver):
    """The process of a channel while its service hangs; killed at the end."""
    receiver.hang()
    channel.post(ALERT)
    thread = threading.Thread(target=channel.outbox.deliver, args=[LONG])
    thread.start()
    until(lambda: receiver.received, LONG, what="the message")
    (process,) = notifiers()
    try:
        yield process
    finally:
        process.kill()
        thread.join(LONG)


def test_a_process_that_is_killed_loses_nothing(notify, receiver):
    channel = notify(to(receiver))
    with process_at_work(channel, receiver):
        pass
    assert channel.tally().waiting == 1
    receiver.answer(200)
    assert channel.outbox.deliver(LONG).sent == 1


def test_the_url_is_in_nothing_that_others_see(notify, receiver, monkeypatch):
    """No argument, no environment, no file, no message; the environment of a run is not handed on."""
    monkeypatch.setenv("SECRET_OF_THE_RUN", "s3cret-of-the-run")
    channel = notify(to(receiver))
    with process_at_work(channel, receiver) as process:
        assert KEY not in " ".join(process.cmdline())
        assert KEY not in json.dumps(process.environ())
        assert "s3cret" not in json.dumps(process.environ())
    (file,) = (each for each in channel.spool.directory.iterdir() if each.name.endswith(".0"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert KEY not in file.read_text() + channel.tally().error + repr(channel.destination._url)
    receiver.answer(403, body=f"key {KEY} is unknown, see http://h/{KEY}?x={KEY}-pw".encode())
    assert KEY not in channel.outbox.deliver(LONG).error
    assert KEY not in scrub(f"POST http://127.0.0.1/{KEY} by {KEY}-pw")


@pytest.mark.parametrize("name", ["good", "other_host", "expired"])
def test_certificates_are_verified_by_what_the_system_trusts(notify, tmp_path, monkeypatch, name):
    """Also by an authority of one's own."""
    found = certificates.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(getattr(found, name))
    with Relay("http://user@127.0.0.1:1/x", tls=context) as receiver:
        receiver.answer(200)
        channel = notify(f"jsons://localhost:{receiver.port}/")
        channel.post(ALERT)
        assert channel.outbox.deliver(LONG).error.startswith("Service cannot be reached: TLS: ")
        monkeypatch.setenv("SSL_CERT_FILE", str(found.authority))
        tally = channel.outbox.deliver(LONG)
        assert tally.sent == (name == "good"), tally


def test_names_are_asked_once_and_kept(tmp_path, monkeypatch):
    urls = notify_url.load(["json://localhost/a", "mmost://localhost/abcdefgh", "json://localhost/b"])
    services = NotifyServices(tmp_path / "spool")
    assert [*services.names(urls).values()] == ["JSON 1", "Mattermost", "JSON 2"]
    spools = [services.spool(url) for url in urls]
    assert len(set(spools)) == 3
    assert all(name.startswith(f"notify-{url.service}-") for name, url in zip(spools, urls, strict=True))
    kept = tmp_path / "spool" / "notify.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "localhost" not in kept.read_text()
    elsewhere = NotifyServices(tmp_path / "of another host")
    assert not {elsewhere.spool(url) for url in urls} & set(spools)  # nobody can try out a password on it
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    again = NotifyServices(tmp_path / "spool")
    assert [*again.names(urls).values()] == ["JSON 1", "Mattermost", "JSON 2"]
    assert [again.spool(url) for url in urls] == spools
    with pytest.raises(ValueError, match="apprise cannot be used: no process can be started: No such file"):
        NotifyServices(tmp_path / "other").names(urls)


@pytest.mark.parametrize("content", ["", "[]", '{"key": "zz", "services": {}}', '{"key": "00", "services": [1]}'])
def test_a_damaged_file_of_names_is_replaced(tmp_path, content):
    (tmp_path / "notify.json").write_text(content)
    urls = notify_url.load(["json://localhost/a"])
    assert [*NotifyServices(tmp_path).names(urls).values()] == ["JSON"]
    assert json.loads((tmp_path / "notify.json").read_text())["services"]


def test_wrong_urls_are_named_by_their_place_and_the_right_ones_stay(tmp_path):
    file = tmp_path / "urls"
    file.write_text(f"# chats\n\nslak://{KEY}\nslack://{KEY}\njson://localhost/{KEY}\n")
    urls = notify_url.load([f"file:{file}", f"windows://{KEY}"])
    services = NotifyServices(tmp_path / "spool")
    assert [*services.names(urls).values()] == ["JSON"]
    assert services.wrong[:2] == [
        f'line 3 of {file} (slak://…) apprise knows no such service; did you mean "slack://…"?',
        f"line 4 of {file} (slack://…) is not a complete URL of Slack: see https://appriseit.com/services/slack/",
    ]
    assert services.wrong[2].startswith("entry 2 (windows://…) cannot be used on this machine")
    assert KEY not in "".join(services.wrong)


def test_apprise_itself_takes_the_urls_of_the_documentation():
    """Those of its own services that docs/alerts.md shows."""
    urls = [
        "mailto://localhost?from=monitor@example.com&to=oncall@example.com",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops",
        "tgram://123456789:AABBCCDDEEFFGGHHIIJJKKLLMMNNOOPPQQR/12315544/",
    ]
    assert all("name" in each for each in services_of(urls)), services_of(urls)
