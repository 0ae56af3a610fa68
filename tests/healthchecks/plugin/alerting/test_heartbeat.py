"""The heartbeat of runs: what a service is sent that alerts when nothing comes."""

import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from healthchecks.plugin.alerting.heartbeat import RunHeartbeat
from servermonitoring import threads
from servermonitoring.delivery.heartbeat import PingFormat, PingService
from tests.healthchecks.plugin.alerting.shops import Shops
from tests.healthchecks.plugin.alerting.test_alerts_elsewhere import everything
from tests.reliability import reliability
from tests.servers.peers import peer, stay
from tests.servers.server import until
from tests.suite import IN_TIME

UUID = "5f0c7a1e-0000-4000-8000-000000000001"


@pytest.fixture
def shops(tmp_path):
    return Shops(tmp_path, "a", "b")


class Service:
    """Stands in for healthchecks.io: which signals came, and with which run's id."""

    def __init__(self, shops, website):
        self._shops, self._website = shops, website
        self.url = website.url(f"/ping/{UUID}")
        for suffix in ("", "/start", "/fail"):
            website.answer(f"/ping/{UUID}{suffix}", "OK")
        self.configure("")

    def configure(self, keys):
        self._shops.configure(f"[shop.a]\n[shop.b]\n[heartbeat]\nurl = '{self.url}'\n{keys}\n")

    def take(self):
        """Return what came since the last call, as (signal, body)."""
        requests = [each for each in self._website.requests if UUID in each.path]
        self._website._requests.write_bytes(b"")
        self.runs = [parse_qs(urlsplit(each.path).query)["rid"][0] for each in requests]
        paths = [urlsplit(each.path).path.removeprefix(f"/ping/{UUID}").strip("/") for each in requests]
        return [(path or "success", each.body) for path, each in zip(paths, requests, strict=True)]


@pytest.fixture
def service(shops, website):
    return Service(shops, website)


def test_a_run_pings_its_start_and_its_success(shops, service):
    """Also with failing checks, unless they are to be a failure; the address is in no output."""
    shops.say(a="closed")
    outcome = shops.run()
    assert re.search(r"alerts: none are sent: no .*; heartbeat \(healthchecks\.io\)\n", outcome.output)
    (start, _), (end, report) = service.take()
    assert (start, end) == ("start", "success")
    assert re.fullmatch(r"\S+: 1 of 2 checks failed\nFAILED +shop\[a\] +closed.*", report)
    assert len(set(service.runs)) == 1
    assert UUID not in outcome.output + everything(shops.folder)
    service.configure("failing_checks = 'failure'")
    shops.run()
    assert [signal for signal, _ in service.take()] == ["start", "fail"]
    shops.say(a="ok")
    shops.run()
    assert [signal for signal, _ in service.take()] == ["start", "success"]


def test_a_run_that_could_not_do_its_work_is_a_failure(shops, service):
    """A hook that fails gives pytest's status 3."""
    shops.write("conftest.py", "def pytest_sessionfinish():\n    raise RuntimeError('a hook that fails')\n")
    assert shops.run(".").status == 3
    (_, _), (end, report) = service.take()
    assert end == "fail"
    assert report.startswith("the run ended with exit status 3; ")
    assert report.endswith(": All 2 checks are ok")


def test_a_part_of_the_checks_and_a_run_without_alerts_have_no_heartbeat(shops, service):
    output = shops.run("test_mine.py", "-k", "a").output
    assert "no heartbeat, since this is a part of the checks (-k)" in output
    assert "heartbeat" not in shops.run("test_mine.py", "--monitoring-no-alerts").output
    assert service.take() == []


@reliability(
    "Alerts",
    fault="the service of `[heartbeat]` is silent, responds letter by letter, or is not there",
    promise="a run waits 5 s at most, shows its results, and says that the heartbeat was not sent",
)
@pytest.mark.parametrize("behaviour", ["hole", "drip_header", "closes", "nobody"])
def test_a_service_that_hangs_holds_no_run(shops, service, bad, behaviour):
    service.url = f"http://127.0.0.1:9/ping/{UUID}" if behaviour == "nobody" else bad.url(behaviour)
    service.configure("format = 'healthchecks.io'")
    outcome = shops.run()
    assert outcome.status == 0
    assert outcome.duration < IN_TIME
    assert "heartbeat not sent: the service (healthchecks.io)" in outcome.output
    assert "heartbeat not sent: the service (healthchecks.io)" in (shops.page / "index.html").read_text()
    assert outcome.checks["shop_words[a]"]["status"] == "ok"
    assert UUID not in outcome.output


def heartbeat(port):
    service = PingService(f"http://127.0.0.1:{port}/ping/{UUID}", PingFormat.HEALTHCHECKS)
    return RunHeartbeat(service, lambda: "web1: All 2 checks are ok")


def test_a_start_that_gets_no_response_is_ended_before_the_end_is_sent():
    """The service would take a start that comes late for a run that has not ended."""
    events = []

    def act(connection):
        request = connection.recv(65536)
        if b"/start?" in request:
            events.append("start")
            stay(connection)
            events.append("start is ended")
        else:
            while not request.endswith(b"are ok"):
                request += connection.recv(65536)
            events.append("end")
            until(lambda: len(events) == 3, IN_TIME, what="the end of the start")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")

    with peer(act) as port:
        run = heartbeat(port)
        run.begin()
        until(lambda: events, IN_TIME, what="the start")
        run.end(0, time.monotonic() + 8)
    assert run.error == ""
    assert events[0] == "start"
    assert sorted(events[1:]) == ["end", "start is ended"]


def test_a_response_that_never_ends_is_cut(bad):
    """Each of its letters meets the timeout of a step."""
    run = heartbeat(bad.port("drip_header"))
    ended = threads.start(run.end, 0, time.monotonic() + 2.5, name="end")
    ended.join(IN_TIME)
    assert not ended.is_alive()
    assert run.error.startswith("the service (healthchecks.io): ")


def test_a_wrong_address_is_an_error_that_does_not_show_it(shops):
    shops.configure("[shop.a]\n[heartbeat]\nurl = 'hc-ping.com/hunter22'\nformat = 'xml'\n")
    outcome = shops.run()
    assert outcome.status == 4
    assert "is not a URL: write https://HOST/PATH" in outcome.output
    assert "healthchecks.io" in outcome.output
    assert "hunter22" not in outcome.output
