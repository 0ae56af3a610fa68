"""What is kept of the status.json of a peer: bounded, whatever it holds."""

import pickle
from datetime import UTC, datetime

import pytest

from healthchecks.plugin.peer import MOST_CHECKS, PeerRecord, make_record, read, update, write

MOMENT = datetime(2026, 11, 30, tzinfo=UTC)


def entry(**keys):
    known = {
        "check": "disk_space", "target": "root", "label": "disk[root]", "group": "", "status": "ok", "since": MOMENT,
        "duration": 0.1, "message": "", "maintenance": False, "silence": None, "runbook": "", "metrics": [],
        "checked_at": None, "recent": [], "uptimes": [],
    }  # fmt: skip
    return known | keys


def record(*checks, host="web2"):
    document = {"host": host, "generated": MOMENT, "checks": checks, "others": []}
    return make_record("https://web2/", 1500.0, document)


def test_size():
    """Of 20,000 checks with texts of a megabyte each some are kept, and a part of each; no control character."""
    runs = [{"status": "ok", "runs": 1}, {"status": "slow", "runs": 1}] * 500
    metric = {"name": "used", "value": 1.0, "unit": "ratio", "limit": None, "lower_limit": None}
    long = "m\n\x1b[0m" * 100_000
    large = entry(
        **dict.fromkeys(("check", "target", "label", "group", "message"), long), recent=runs, metrics=[metric] * 99,
        uptimes=[{"days": 1, "passed": 1, "total": 1}] * 20,
    )  # fmt: skip
    found = record(*[large] * 20_000, host=long)
    assert len(pickle.dumps(found)) < 200_000
    assert (len(found.checks), found.counts) == (MOST_CHECKS, (("ok", 20_000),))
    assert sum(count for _, count in found.checks[0].recent) == 60
    assert not any(each < " " for each in f"{found.host}{found.checks[0].label}{found.checks[0].message}")


def test_order():
    """What needs attention comes first; what stands for a kind without a table is left out."""
    silence = {"until": MOMENT, "user": "", "reason": ""}
    found = record(
        entry(), entry(status="skipped", message="no [website.NAME] in …"), entry(status="failed", silence=silence),
        entry(status="failed", maintenance=True), entry(status="blocked"), entry(status="error"),
    )  # fmt: skip
    assert [each.status for each in found.checks] == ["blocked", "error", "ok", "failed", "failed"]
    assert [each.needs_attention for each in found.checks] == [True, True, False, False, False]


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59-23:00"])
def test_times_that_no_page_can_show(text):
    """Also without a zone."""
    moment = datetime.fromisoformat(text)
    (found,) = record(entry(since=moment, checked_at=moment)).checks
    datetime.fromtimestamp(found.since, UTC).astimezone()
    assert 0 <= found.since == found.checked_at


def test_stored(tmp_path):
    """And read again as it was; a silent peer keeps its checks, with what is configured now."""
    known = {"peer.web2": record(entry(recent=[{"status": "ok", "runs": 3}])), "peer.web3": record()}
    write(tmp_path, known)
    assert read(tmp_path) == known
    silent = PeerRecord("https://other/", 60.0)
    found = update(known, {"peer.web2": silent, "peer.web4": silent}, "peer.web3".__eq__)
    assert [*found] == ["peer.web2", "peer.web4"]
    web2 = found["peer.web2"]
    assert (web2.link, web2.max_age, web2.is_silent, web2.checks) == (
        "https://other/", 60.0, True, known["peer.web2"].checks,
    )  # fmt: skip
    assert read(tmp_path / "none") == {}
