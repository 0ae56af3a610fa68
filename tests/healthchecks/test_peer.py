"""[peer.NAME]: another server's status.json, as it is and as nobody should send it."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from healthchecks.clients.status_document import StatusDocument, parse_status, status_schema
from healthchecks.test_peer import Peer, _list_checks, _state
from tests import ROOT
from tests.healthchecks.metrics import assert_agrees, metrics_of
from tests.reliability import reliability
from tests.servers.peers import peer, says
from tests.servers.server import HOST
from tests.suite import IN_TIME, table

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


def test_its_checks_on_this_page(run):
    """Those that fail come first; names and messages of another server are text."""
    names = {"check": "<script>alert(2)</script>", "status": "failed", "message": "<b>bad</b>\nnews"}
    wrong = document()["checks"][0] | names
    outcome = run(document(others=[wrong]), host="web2")
    outcome.assert_ok(CHECK)
    page = (outcome.folder / "html/index.html").read_text()
    assert "1 of 2 checks failed" in page
    first = "failed  &lt;script&gt;alert(2)&lt;/script&gt;[root], since 2026-11-30 16:00: &lt;b&gt;bad&lt;/b&gt; news"
    assert f"\n{first}\nok      disk_space[root], since 2026-11-30 16:00" in page
    assert "<script>alert(2)" not in page


def test_many_checks():
    """The list is cut, and every part of it."""
    entry = document()["checks"][0] | {"check": "c" * 10_000, "message": "m" * 100_000}
    text = parse_status(json.dumps(document(checks=[entry] * 600)).encode())
    found = _list_checks(text, _state(text, "http://web2/status.json"))
    assert found.endswith("\nand 101 more")
    assert len(found) < 500 * 400


def test_later_version_with_more_keys():
    assert parse_status(json.dumps(document(more=1)).encode()).host == "web2"


def test_schema_is_up_to_date():
    """Written by: python -m healthchecks.clients.status_document > docs/status.schema.json."""
    assert json.loads(SCHEMA.read_text()) == status_schema()


def test_two_logins():
    with pytest.raises(ValueError, match="more than one way to log in"):
        Peer(url="http://web2/status.json", user="u", token="t")
