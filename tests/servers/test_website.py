"""The test website does what its pages promise, the failing case first."""

import os
import re
import subprocess
import sys

import psutil
import pytest
import requests

from tests.servers.server import is_free
from tests.servers.website import BOOKMARKLET_TEXT, PASSWORD, USER, Website


def log_in(website: Website, session: requests.Session, **fields: str) -> requests.Response:
    """As a browser does: open the form, fill it with its own hidden token, send it."""
    form = session.get(website.url("/login")).text
    token = re.search(r'name="csrf_token" value="(\w+)"', form)
    assert token
    filled = {"csrf_token": token[1], "user": USER, "password": PASSWORD} | fields
    return session.post(website.url("/login"), data=filled)


def test_wrong_password_answers_200_without_the_welcome(website):
    """What makes a login hard to check: the status says nothing."""
    with requests.Session() as session:
        answer = log_in(website, session, password="wrong")
        assert answer.status_code == 200
        assert "Wrong name or password" in answer.text
        assert "Welcome back" not in session.get(website.url("/members")).text


def test_login_without_its_token_is_forbidden(website):
    with requests.Session() as session:
        assert log_in(website, session, csrf_token="made up").status_code == 403


def test_members_page_wants_a_login(website):
    answer = requests.get(website.url("/members"))
    assert answer.url.endswith("/login")
    assert "Welcome" not in answer.text


def test_login_leads_to_the_members_page(website):
    with requests.Session() as session:
        answer = log_in(website, session)
        assert answer.url.endswith("/members")
        assert f"Welcome back, {USER}" in answer.text


@pytest.mark.parametrize(
    ("tls", "reason"),
    [("expired", "has expired"), ("self_signed", "self-signed"), ("other_host", "Hostname mismatch")],
)
def test_bad_certificates_are_refused(website, tls, reason):
    with pytest.raises(requests.exceptions.SSLError, match=reason):
        requests.get(website.url(tls=tls), verify=website.authority)


def test_good_certificate_needs_its_authority(website):
    with pytest.raises(requests.exceptions.SSLError, match="unable to get local issuer"):
        requests.get(website.url(tls="good"))


@pytest.mark.parametrize("tls", ["good", "expiring"])
def test_good_certificates_are_taken(website, tls):
    for url in (website.url(tls=tls), website.url(tls=tls).replace("localhost", "127.0.0.1")):
        assert "Welcome" in requests.get(url, verify=website.authority).text


@pytest.mark.parametrize(
    ("path", "status"), [("/status/503", 503), ("/status/404", 404), ("/basic", 401), ("/nowhere", 404)]
)
def test_wrong_status(website, path, status):
    assert requests.get(website.url(path)).status_code == status


def test_flaky_page_fails_before_it_passes(website):
    url = website.url("/flaky/one?failures=2")
    assert [requests.get(url).status_code for _ in range(3)] == [503, 503, 200]


def test_basic_login_in_the_url(website):
    assert "You are known" in requests.get(website.url("/basic", user=(USER, PASSWORD))).text


def test_redirects_come_home_or_never_end(website):
    assert "Welcome" in requests.get(website.url("/redirect/3")).text
    with pytest.raises(requests.TooManyRedirects):
        requests.get(website.url("/redirect/loop?seconds=0"))


def test_slow_page_outlasts_a_time_limit(website):
    with pytest.raises(requests.ReadTimeout):
        requests.get(website.url("/slow?seconds=5"), timeout=0.3)


@pytest.mark.parametrize("path", ["/endless", "/bomb"])
def test_endless_bodies_go_on(website, path):
    with requests.get(website.url(path), stream=True) as answer:
        parts = answer.iter_content(1_000_000)
        assert sum(len(next(parts)) for _ in range(12)) == 12_000_000


def test_contents(website):
    assert requests.get(website.url("/json")).json()["workers"] == {"busy": 2, "idle": 6}
    assert len(requests.get(website.url("/large?bytes=5000000")).content) == 5_000_000
    assert requests.get(website.url("/bookmarklet/text")).text == BOOKMARKLET_TEXT
    assert "while(1){}" in requests.get(website.url("/bookmarklet/hang")).text


def test_echo_shows_what_was_sent(website):
    echo = requests.put(website.url("/echo?a=1"), data="Grüße".encode(), headers={"X-Mine": "yes"}).json()
    assert (echo["method"], echo["query"], echo["body"]) == ("PUT", {"a": "1"}, "Grüße")
    assert echo["headers"]["x-mine"] == "yes"


def test_log_names_who_was_contacted(website):
    """How a test shows that only the selected targets were asked."""
    requests.get(website.url("/json"), headers={"User-Agent": "me"})
    requests.head(website.url("/"))
    assert website.paths == ["/json", "/"]
    assert [each.method for each in website.requests] == ["GET", "HEAD"]
    assert website.requests[0].headers["user-agent"] == "me"


def test_pages_can_be_broken_and_mended(website):
    website.answer("/", "Oops", status=500, headers={"X-Broken": "yes"})
    broken = requests.get(website.url("/"))
    assert (broken.status_code, broken.text, broken.headers["X-Broken"]) == (500, "Oops", "yes")
    website.forget()
    assert "Welcome" in requests.get(website.url("/")).text


def test_paused_it_accepts_and_does_not_answer(website):
    website.pause()
    with pytest.raises(requests.ReadTimeout):
        requests.get(website.url("/"), timeout=0.3)
    website.resume()
    assert requests.get(website.url("/"), timeout=60).ok


def test_stopped_it_leaves_nothing_and_starts_again_where_it_was():
    with Website() as website:
        process = psutil.Process(website.pid)
        website.stop()
        assert not process.is_running()
        assert is_free(website.port)
        with pytest.raises(requests.ConnectionError):
            requests.get(website.url("/"), timeout=1)
        website.start()
        assert requests.get(website.url("/"), timeout=60).ok
    assert not website.directory.exists()


def test_paused_it_can_still_be_stopped():
    with Website() as website:
        process = psutil.Process(website.pid)
        website.pause()
    assert not process.is_running()


def test_it_ends_with_a_test_run_that_is_killed(tmp_path):
    """Nobody has to clean up after `kill -9`."""
    script = "from tests.servers.website import Website; w = Website().start(); print(w.pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as run:
        server = psutil.Process(int(run.stdout.readline()))
        run.kill()
    psutil.wait_procs([server], timeout=60)
    assert not server.is_running()
