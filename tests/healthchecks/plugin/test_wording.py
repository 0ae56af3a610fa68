"""The headline and the order of statuses are the same in terminal, page and reports."""

from types import SimpleNamespace

import pytest

from healthchecks.plugin.result import Status
from healthchecks.plugin.wording import CardStatus, make_headline, rank
from servermonitoring.values import metric_in_words


def checks(*statuses, maintenance=False, silence=None):
    return [SimpleNamespace(status=each, maintenance=maintenance, silence=silence) for each in statuses]


@pytest.mark.parametrize(
    ("statuses", "headline"),
    [
        (["ok"], "1 check is ok"),
        (["ok", "slow", "skipped"], "All 2 checks are ok"),
        (["failed", "ok"], "1 of 2 checks failed"),
        (["failed"], "1 of 1 check failed"),
        (["error", "error", "ok"], "2 of 3 checks ended in error"),
        (["failed", "error", "blocked"], "1 of 3 checks failed, 1 ended in error, 1 blocked"),
        (["blocked", "ok"], "None of 2 checks failed, 1 blocked"),
        (["stale", "never", "ok"], "1 check is ok"),
        (["skipped"], "No check ran"),
        ([], "No check ran"),
    ],
    ids=str,
)
def test_headline(statuses, headline):
    assert make_headline(checks(*statuses)) == headline


def test_a_failure_in_maintenance_counts_apart():
    assert make_headline([*checks("failed", maintenance=True), *checks("ok")]) == (
        "None of 2 checks failed, 1 in maintenance"
    )
    assert make_headline(checks("ok", maintenance=True), "report") == "1 report is ok"


def test_a_silenced_failure_counts_apart():
    silenced, both = checks("failed", silence="by bob"), checks("failed", silence="by bob", maintenance=True)
    assert make_headline([*silenced, *checks("ok")]) == "None of 2 checks failed, 1 silenced"
    assert make_headline([*silenced, *both, *checks("failed")]) == (
        "1 of 3 checks failed, 1 in maintenance, 1 silenced"
    )
    assert make_headline(checks("ok", silence="by bob")) == "1 check is ok"


def test_every_status_has_its_own_word_and_place():
    """The page shows the six statuses of a result under their names, and two more."""
    assert {each.value for each in CardStatus} == {each.value for each in Status} | {"stale", "never"}
    assert all(CardStatus(each.value).word == each.value for each in Status)
    assert sorted(Status, key=rank) == ["failed", "error", "blocked", "slow", "ok", "skipped"]


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.43, "ratio", "43 %"),
        (0.8961, "ratio", "89.6 %"),
        (1.2, "ratio", "120 %"),
        (1.2e9, "bytes", "1.2 GB"),
        (512, "bytes", "512 B"),
        (0, "bytes", "0 B"),
        (0.12, "seconds", "120 ms"),
        (3.4, "seconds", "3.4 s"),
        (1036800, "seconds", "12 d"),
        (-0.5, "seconds", "-500 ms"),
        (41, "celsius", "41 °C"),
        (-3.25, "celsius", "-3.25 °C"),
        (7, "none", "7"),
        (12345, "none", "12345"),
        (0.5, "none", "0.5"),
        (1234.5, "none", "1234"),
        (1e300, "none", "1e+300"),
        (1.7e308, "bytes", "1.7e+308 B"),
        (1.7e308, "seconds", "1.7e+308 s"),
        (3, "pages", "3 pages"),
    ],
)
def test_a_metric_has_its_unit_in_words(value, unit, words):
    """Also a number that nobody would write out, and a unit of a later version."""
    assert metric_in_words(value, unit) == words
