"""An alert in words for people: for each action, and of documents that are damaged or hostile."""

import pytest

from servermonitoring.delivery.text import text_of

DOCUMENT = {
    "id": "1", "action": "alert", "title": "website[home]: status 502 instead of 200", "check": "website_access",
    "target": "home", "label": "website[home]", "message": "status 502 instead of 200", "status": "failed",
    "level": "error", "host": "web1", "group": "shop", "time": "2026-11-24T05:10:00Z", "since": "2026-11-24T04:10:00Z",
    "failures": 7, "suppressed": 5,
    "metrics": [{"name": "response time", "value": 0.031, "unit": "seconds", "limit": 3.0, "lower_limit": None}],
    "link": "https://status.example.com/#check-home", "runbook": "https://wiki.example.com/w",
    "data": {"queue": "mail"},
}  # fmt: skip


def test_the_body_says_how_much_since_when_where_and_what_to_do():
    """What is said by the title already is not said again."""
    assert text_of(DOCUMENT).body.splitlines() == [
        "response time 31 ms (limit 3 s)",
        "Since 2026-11-24 04:10 UTC, 7 runs in a row, 5 of them without an alert",
        "Group: shop",
        "Page: https://status.example.com/#check-home",
        "What to do: https://wiki.example.com/w",
        "queue: mail",
    ]


def test_a_warning_is_called_one():
    assert "Severity: warning" in text_of(DOCUMENT | {"level": "warning"}).body.splitlines()


def test_a_recovery_says_since_when_it_had_failed():
    recovery = {"action": "recovered", "title": "website[home] recovered after 1 h", "message": "recovered after 1 h"}
    text = text_of(DOCUMENT | recovery | {"status": "ok", "level": "info", "suppressed": 0})
    assert text.title == "website[home] recovered after 1 h (web1)"
    assert text.body.splitlines()[:2] == [
        "response time 31 ms (limit 3 s)", "It had failed since 2026-11-24 04:10 UTC, 7 runs in a row",
    ]  # fmt: skip


def test_a_message_that_is_too_long_for_the_title_is_in_the_body():
    message = "the website is slow\n" + "and slow " * 30
    text = text_of(DOCUMENT | {"message": message, "title": f"website[home]: {message}", "failures": 1})
    assert text.title.endswith("… (web1)")
    assert text.body.startswith(f"{message.strip()}\nresponse time 31 ms (limit 3 s)\nSince 2026-11-24 04:10 UTC\n")


@pytest.mark.parametrize(
    ("action", "status", "title"),
    [
        ("alert", "failed", "Failed: website[home]: status 502 instead of 200 (web1)"),
        ("alert", "error", "Error: website[home]: status 502 instead of 200 (web1)"),
        ("reminder", "failed", "Still failed: website[home]: status 502 instead of 200 (web1)"),
        ("changed", "error", "Now error: website[home]: status 502 instead of 200 (web1)"),
        ("alert", "logged", "Logged: website[home]: status 502 instead of 200 (web1)"),
        ("of a later version", "ok", "website[home]: status 502 instead of 200 (web1)"),
    ],
)
def test_the_title_says_what_has_happened(action, status, title):
    assert text_of(DOCUMENT | {"action": action, "status": status}).title == title


@pytest.mark.parametrize(
    "odd",
    [
        {}, {"title": None, "metrics": "none", "data": [1], "failures": "3", "since": 5},
        {"metrics": [None, 3, {}, {"name": "x", "value": "many", "unit": "s"}]},
        {"metrics": [{"name": 1, "value": 1e999, "unit": "none"}]},
        {"failures": 3, "since": "yesterday", "suppressed": None},
    ],
)  # fmt: skip
def test_what_is_no_document_of_this_version_has_a_text_all_the_same(odd):
    text = text_of(odd)
    assert "\n" not in text.title
    assert "None" not in text.title + text.body


def test_a_hostile_message_stays_in_bounds_and_calls_nobody():
    message = "<!channel> @here @Everyone <@U123>\x1b[31m\r\nSubject: other\n" + "x" * 100_000
    text = text_of(DOCUMENT | {"message": message, "title": message, "data": {"output": message, "@all": "@all"}})
    assert len(text.title) <= 200
    assert text.title.endswith(" (web1)")
    assert len(text.body) <= 3500
    for call in ("<!", "@here", "@everyone", "@all", "<@", "\x1b", "\r"):
        assert call not in (text.title + text.body).lower()
    assert "https://status.example.com/#check-home" in text.body
