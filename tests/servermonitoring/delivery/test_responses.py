"""Responses to a delivery: their outcome and their pause."""

import time
from email.utils import formatdate

import pytest

from servermonitoring.delivery.attempt import DeliveryOutcome, DeliveryResponse


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([200, 201, 202, 204], DeliveryOutcome.SENT),
        ([408, 425, 500, 502, 503, 504, 599], DeliveryOutcome.RETRY),
        ([429], DeliveryOutcome.LIMITED),
        ([400, 405, 410, 411, 413, 415, 422, 431], DeliveryOutcome.REFUSED),
        ([401, 403, 404, 407, 301, 302, 307, 308, 100], DeliveryOutcome.UNAVAILABLE),
    ],
)
def test_outcomes(statuses, outcome):
    assert {DeliveryResponse(status).outcome for status in statuses} == {outcome}


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, {}, 0),
        (429, {}, 60),
        (429, {"retry-after": "7"}, 7),
        (429, {"retry-after": "2.5"}, 2.5),
        (503, {"retry-after": "7"}, 7),
        (503, {}, 0),
        (200, {"retry-after": "7"}, 0),
        (429, {"retry-after": "soon"}, 60),
        (429, {"retry-after": "-1"}, 60),
        (429, {"retry-after": "nan"}, 60),
        (429, {"retry-after": "99999999"}, 86400),
        (429, {"x-sentry-rate-limits": "30:error:organization"}, 30),
        (200, {"x-sentry-rate-limits": "30:error:organization"}, 30),
        (200, {"x-sentry-rate-limits": "30::organization"}, 30),
        (200, {"x-sentry-rate-limits": "30"}, 30),
        (200, {"x-sentry-rate-limits": "30:transaction;replay:key, 20:default;error:key:quota:ns"}, 20),
        (200, {"x-sentry-rate-limits": "30:transaction:key"}, 0),
        (429, {"x-sentry-rate-limits": "30:monitor:key", "retry-after": "30"}, 60),
        (429, {"x-sentry-rate-limits": ":,;::", "retry-after": "9"}, 60),
    ],
)
def test_pauses(status, headers, seconds):
    assert DeliveryResponse(status, headers).pause() == seconds


def test_a_pause_until_a_date():
    assert 88 <= DeliveryResponse(429, {"retry-after": formatdate(time.time() + 90, usegmt=True)}).pause() <= 90
    assert DeliveryResponse(503, {"retry-after": formatdate(time.time() - 90, usegmt=True)}).pause() == 0


def test_in_words():
    assert DeliveryResponse(502).in_words() == "502 Bad Gateway"
    assert DeliveryResponse(599).in_words() == "599"
