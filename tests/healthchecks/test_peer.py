"""[peer.NAME]: another server's status.json, as it is and as nobody should send it."""

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from lxml import html

from healthchecks.clients.status_document import StatusDocument, parse_status, status_schema
from healthchecks.test_peer import Peer
from tests import ROOT
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.servers.peers import peer, says
from tests.servers.server import HOST
from tests.suite import IN_TIME, ProjectSuite, table

CHECK = "peer_fresh[web2]"
SCHEMA = ROOT / "docs/status.schema.json"


def document(**keys):
    """A status.json of two checks, one of them failed."""
    entry = {
        "check": "disk_space", "target": "root", "group": "", "status": "ok", "since": "2026-11-30T16:00:00Z",
        "duration": 0.1, "message": "", "maintenance": False, "runbook": "", "metrics": [],
    }  # fmt: skip
    known = {
        "version": 1, "generated": datetime.now(UTC).isoformat(), "host": "web2", "status": "failed",
        "interrupted": False, "without_result": 0, "checks": [entry],
        "others": [entry | {"status": "failed", "checked_at": "2026-11-30T16:00:00Z"}],
    }  # fmt: skip
    return known | keys


@pytest.fixture
def run(run_suite, website):
    """Runs the check of a peer that serves this document, or this text."""

    def run(content=None, **keys):
        text = content if isinstance(content, str) else json.dumps(content or document())
        website.answer("/status.json", text)
        return run_suite(table("peer", "web2", url=website.url("/status.json"), **keys))

    return run


def ago(**time):
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def failure(outcome):
    return outcome.message(CHECK)


def test_old(run):
    outcome = run(document(generated=ago(minutes=40)))
    assert re.fullmatch(r"last run of web2 was 40 min( \d+ s)? ago, maximum 25 min", failure(outcome))
    assert_agrees(outcome, CHECK, "age")


def test_wrong_documents(run_suite, website):
    """One run for all of them; each says what is wrong, and nothing of it is taken for markup."""
    script = "<script>alert(1)</script>"
    cases = {
        "host": (document(host=script), f'status.json is of host "{script}", expected "web2", at '),
        "future": (document(generated=ago(hours=-2)), " in the future: check the clocks"),
        "cut": (
            document(interrupted=True, without_result=3),
            "last run of web2 was interrupted: 3 checks without a result",
        ),
        "version": (document(version=2), "its version is 2, this release reads 1"),
        "zone": (document(generated="2026-11-30T16:00:00"), "generated: has no time zone"),
        "none": ({"status": "ok"}, "version: Field required"),
        "status": (document(checks=[{"status": script}]), "checks.0.check: Field required"),
        "page": ("<html>log in</html>", "no status.json at "),
        "deep": ("[" * 1_000_000, "no status.json at "),
        "large": ("[" + "1," * 1_500_000 + "1]", "body is larger than 2 MB"),
    }
    for name, (content, _) in cases.items():
        website.answer(f"/{name}", content if isinstance(content, str) else json.dumps(content))
    website.answer("/missing", "gone", status=404)
    names = [*cases, "missing"]
    outcome = run_suite("".join(table("peer", name, url=website.url(f"/{name}"), host="web2") for name in names))
    messages = {name: outcome.message(f"peer_fresh[{name}]") for name in names}
    assert {name: reason in messages[name] for name, (_, reason) in cases.items()} == dict.fromkeys(cases, True)
    assert messages["missing"] == f"status 404 Not Found at {website.url('/missing')}"
    assert script not in (outcome.folder / "html/index.html").read_text()


@reliability(
    "Checks",
    fault="many other servers that this one watches are silent",
    promise="all of them together cost one timeout",
)
def test_silent(run_suite, bad):
    port = bad.port("hole")
    names = [f"web{number}" for number in range(50)]
    tables = "".join(table("peer", name, url=bad.url("hole"), timeout=6) for name in names)
    outcome = run_suite(tables)
    found = {outcome.message(f"peer_fresh[{name}]") for name in names}
    assert found == {f"connected to {HOST}:{port}, no response within 6 s"}
    assert outcome.duration < IN_TIME


def test_announced_size(run_suite):
    """Nothing of 2 GB is read."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\n"
    with peer(says(head)) as port:
        outcome = run_suite(table("peer", "web2", url=f"http://{HOST}:{port}/status.json"))
    assert failure(outcome) == "body is larger than 2 MB"


def test_own_status_json(run, run_suite, website):
    """What this release writes, with every key and no other, is what it reads; a failed check is no failure here."""
    first = run(document(host="other"), host="web2")
    website.answer("/status.json", json.dumps(first.document))
    outcome = run_suite(table("peer", "web2", url=website.url("/status.json"), host=first.document["host"]))
    outcome.assert_ok(CHECK)
    metrics = metrics_of(outcome, CHECK)
    assert [*metrics] == ["age", "failed checks", "checks"]
    assert metrics["failed checks"]["value"] == metrics["checks"]["value"] == 1
    known = StatusDocument.model_validate(first.document, extra="forbid", strict=False)
    assert {*first.document} == known.model_fields_set


def test_login(website, run_suite):
    """By the keys of a website; the password is nowhere."""
    website.answer("/status.json", json.dumps(document()))
    outcome = run_suite(
        table("peer", "web2", url=website.url("/status.json"), user="guest", password="kept s3cret", host="web2")
    )
    outcome.assert_ok(CHECK)
    assert "kept s3cret" not in outcome.all_written()


@pytest.fixture
def groups():
    """Returns the groups of other servers on a page, by name."""

    def groups(page):
        sections = html.fromstring(page.read_text()).xpath("//section[starts-with(@class, 'group peer')]")
        return {each.xpath("string(h2/a)"): each for each in sections}

    return groups


def labels(group):
    return [each.text_content() for each in group.xpath(".//article//h3")]


def is_silent(group):
    return "is-silent" in group.get("class")


def test_its_checks_on_this_page(run, groups):
    """Those that fail come first and count as none of this server's; text of another server is text."""
    wrong = document()["checks"][0] | {
        "check": "<script>alert(2)</script>", "status": "failed", "message": "<b>bad</b>\nnews",
        "label": "\u202e<i>mine</i>", "group": "</section>", "duration": 1e300, "since": "0001-01-01T00:00:00",
        "metrics": [{"name": "a\x07", "value": 1e308, "unit": "bytes", "limit": None, "lower_limit": None}],
        "recent": [{"status": "failed", "runs": 1000}], "uptimes": [{"days": 1, "passed": 9, "total": 1}],
    }  # fmt: skip
    outcome = run(document(others=[wrong]), host="web2", page="https://status.example.com/web2/")
    outcome.assert_ok(CHECK)
    assert outcome.document["status"] == "ok"
    page = outcome.folder / "html/index.html"
    (group,) = groups(page).values()
    assert html.fromstring(page.read_text()).xpath("string(//h1)") == "1 check is ok"
    assert ">ok</text>" in (page.parent / "badges/all.svg").read_text()
    assert labels(group) == ["\u202e<i>mine</i>", "disk_space[root]"]
    assert [each.get("data-status") for each in group.xpath(".//article")] == ["failed", "ok"]
    assert "<b>bad</b> news" in group.text_content()
    assert "<script>alert(2)" not in page.read_text()
    links = group.xpath(".//article//a/@href")
    assert links[1] == "https://status.example.com/web2/#check-disk_space-root"
    assert not is_silent(group)


def test_silent_peer_keeps_its_checks(run, run_suite, groups, website, tmp_path):
    """In grey, with their age; a peer that was never there has a sentence; one that is not configured leaves."""
    run(host="web2")
    page = tmp_path / "html/index.html"
    website.answer("/status.json", "down", status=503)
    other = table("peer", "web3", url=website.url("/missing/status.json"))
    outcome = run_suite(table("peer", "web2", url=website.url("/status.json", user=("me", "s3cret"))) + other)
    found = groups(page)
    assert [*found] == ["web2", "web3"]
    assert labels(found["web2"]) == ["disk_space[root]", "disk_space[root]"]
    assert is_silent(found["web2"])
    assert outcome.message(CHECK) in found["web2"].text_content()
    assert "No status.json of this server so far." in found["web3"].text_content()
    assert found["web2"].xpath("string(h2/a/@href)") == website.url("/")
    (tmp_path / "state/peers.json").write_text("[")
    outcome = run_suite(other)
    assert "the last checks of silent peers are lost: ValueError: peers.json is damaged" in outcome.output
    assert [*groups(page)] == ["web3"]


def test_peers_leave_with_their_last_table(run_suite, groups, website, tmp_path):
    """With the next run, also one of a part without a check of this kind: page, peers.json and metrics."""
    website.answer("/status.json", json.dumps(document()))
    settings = f"[metrics]\ntextfile = '{tmp_path}/m.prom'\n"
    disk = settings + table("disk", "root", path="/", max_used="100%")
    only_disk = str(ROOT / "healthchecks/test_disk.py")
    run_suite(disk + table("peer", "web2", url=website.url("/status.json")))
    written = [tmp_path / "html/index.html", tmp_path / "state/peers.json", tmp_path / "m.prom"]
    assert all("web2" in each.read_text() for each in written)
    run_suite(disk, only_disk, "-k", "space")
    assert [each.name for each in written if "web2" in each.read_text()] == []
    assert [*groups(written[0])] == []


class WatchedServer:
    """A server with its own state, which serves its page from a port of its own."""

    def __init__(self, folder):
        self.name, self.folder = folder.name, folder
        (folder / "html").mkdir(parents=True)
        handler = partial(SimpleHTTPRequestHandler, directory=folder / "html")
        self.http = ThreadingHTTPServer((HOST, 0), handler)
        Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://{HOST}:{self.http.server_port}/status.json"

    def configure(self, servers, hook):
        peers = "".join(table("peer", each.name, url=each.url) for each in servers if each is not self)
        disk = table("disk", self.name, path="/", max_used="100%")
        self.suite = ProjectSuite(self.folder, f"[alerts]\nwebhook = '{hook}'\n{disk}{peers}")

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def servers(tmp_path, website):
    """Three servers that watch each other; what they alert goes to the website, to /hook/ and their name."""
    found = [WatchedServer(tmp_path / name) for name in ("web1", "web2", "web3")]
    for each in found:
        website.answer(f"/hook/{each.name}")
        each.configure(found, website.url(f"/hook/{each.name}"))
    yield found
    for each in found:
        each.stop()


def run_all(servers, *options):
    """Run all of them at the same time, as cron does."""
    processes = [each.suite.start(*each.suite.files, *options) for each in servers]
    return [each.suite.finish(process) for each, process in zip(servers, processes, strict=True)]


@reliability(
    "Checks",
    fault="one of three servers that watch each other stops",
    promise="the other two alert it in their next run, once each, and go on showing all three",
)
def test_three_servers(servers, website, groups):
    run_all(servers, "--monitoring-no-alerts")  # nobody has a status.json yet
    for each, outcome in zip(servers, run_all(servers), strict=True):
        assert outcome.status == 0, outcome.output
        found = groups(each.folder / "html/index.html")
        others = [other.name for other in servers if other is not each]
        assert [*found] == others
        assert [f"disk[{name}]" in labels(found[name]) for name in others] == [True, True]
        assert not any(map(is_silent, found.values()))
    *left, stopped = servers
    stopped.stop()
    for _ in range(2):
        for outcome in run_all(left):
            failed = [name for name, each in outcome.checks.items() if each["status"] == "failed"]
            assert failed == ["peer_fresh[web3]"], outcome.output
    for each in left:
        (alert,) = [json.loads(sent.body) for sent in website.requests if sent.path == f"/hook/{each.name}"]
        assert (alert["check"], alert["target"], alert["status"]) == ("peer_fresh", "web3", "failed")
        found = groups(each.folder / "html/index.html")
        assert {name: is_silent(group) for name, group in found.items()} == {
            other.name: other is stopped for other in servers if other is not each
        }
        assert "disk[web3]" in labels(found["web3"])


def test_later_version_with_more_keys():
    assert parse_status(json.dumps(document(more=1)).encode()).host == "web2"


def test_schema_is_up_to_date():
    """Written by: python -m healthchecks.clients.status_document > docs/status.schema.json."""
    assert json.loads(SCHEMA.read_text()) == status_schema()


def test_two_logins():
    with pytest.raises(ValueError, match="more than one way to log in"):
        Peer(url="http://web2/status.json", user="u", token="t")


def test_link_without_secrets():
    with pytest.raises(ValueError, match="page: write it without a login"):
        Peer(url="http://web2/status.json", page="https://me:s3cret@web2/")
