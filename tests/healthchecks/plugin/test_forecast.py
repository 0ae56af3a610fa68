"""When a metric will reach its limit: what grows is found, what only moves is not."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchecks.plugin.forecast import DAY, Forecast, forecast

NOW = 1_800_000_000.0
EVERY = 1800  # seconds
SEEDS = st.integers(0, 2**32)
seeded = settings(derandomize=True, max_examples=60, deadline=None, database=None)


def points(value, days=28.0, noise=0.0, seed=0, every=EVERY):
    """Return what was measured until now; `value` has the day, 0 is now and -1 yesterday."""
    chance, count = random.Random(seed), int(days * DAY / every)
    moments = [(place - count + 1) * every for place in range(count)]
    return [(NOW + moment, value(moment / DAY) + chance.gauss(0, noise)) for moment in moments]


def days_left(found):
    return None if found is None else found.days_left(NOW)


def growing(now, slope=1.0):
    return lambda day: now + slope * day


def sawtooth(period, height, phase, low=60.0):
    return lambda day: low + height * (((day + phase) / period) % 1)


def rhythm(height, phase):
    return lambda day: 70 + height / 2 * math.sin(2 * math.pi * (day + phase))


def busy_nights(height, phase):
    return lambda day: 60 + (height if (day + phase) % 1 < 0.4 else 0)


def emptied(day_of_deletion, size, now=80.0):
    return lambda day: now + day + (size if day < day_of_deletion else 0)


@pytest.mark.parametrize(
    ("value", "days", "expected"),
    [
        (growing(80), 28, 10),
        (growing(80), 7, 10),
        (growing(80), 3, 10),
        (growing(65), 3, 25),
        (growing(80), 2.4, None),  # too short
        (growing(59), 28, None),  # more than 30 days
        (growing(61), 28, 29),
        (growing(88, 0.01), 28, None),
        (growing(95), 28, None),  # beyond the limit already
        (growing(80, -1), 28, None),
        (growing(80, 0), 28, None),
        (emptied(-3, 10), 28, 10),
        (emptied(-0.5, 10), 28, 10),
        (lambda day: 80 + math.floor(day), 28, 10),  # a backup each night
        (lambda day: 80 + math.floor(day + 0.5), 4, 10),  # the same, for four days
        (lambda day: 80 + day - 8 * (day < -3.5), 28, 10),  # a download, and growth before and after it
        (lambda day: 80 + max(day, -6), 28, 10),  # for six days only
        (lambda day: 80 + min(day, -2.5), 28, None),  # and no longer
        (lambda day: 80 + 5 * min(max(day + 4.5, 0), 2), 28, None),  # for two days, in the past
        (lambda day: 80 - 3 * (day < -3.5), 28, None),  # one step
        (lambda day: 80 + 9 * (-3 < day < -2.5), 28, None),  # there and gone
        (sawtooth(1, 9, 0.2, low=80), 28, None),
        (sawtooth(7, 29, 0.1), 28, None),  # each week
        (lambda day: 75 + day + 5 * (day % 1), 28, 10.5),  # a sawtooth that rises: the tops count
        (lambda day: 60 + 10 * (day % 1) if day < -4 else 80 + 5 * day, 28, 2),  # no longer rotated
        (lambda day: 60 + 10 * (day % 1) if day < -4 else 69 + 2 * day, 28, None),  # rotated later
        (lambda day: 82 + 1.4 * (math.floor(day / 7) * 5 + min(5, day % 7)), 28, 8 / 1.4),  # on five days of seven
    ],
)
def test_examples(value, days, expected):
    found = days_left(forecast(points(value, days), 90.0))
    assert found == (None if expected is None else pytest.approx(expected, abs=0.7))


@seeded
@given(SEEDS, st.floats(0.8, 4), st.floats(3, 28), st.floats(0, 0.5))
def test_growth_is_found(seed, slope, days, noise):
    """In percent: noise of half a percent, growth of one a day."""
    found = forecast(points(growing(80, slope), days, noise, seed, every=600), 90.0)
    assert found is not None
    assert found.slope == pytest.approx(slope, abs=0.5)
    assert found.days_left(NOW) == pytest.approx(10 / slope, rel=0.4)


@seeded
@given(SEEDS, st.floats(-6, -2), st.floats(4, 30))
def test_growth_is_found_after_a_deletion(seed, day, size):
    found = forecast(points(emptied(day, size), noise=0.3, seed=seed), 90.0)
    assert days_left(found) == pytest.approx(10, abs=2)


@seeded
@given(SEEDS, st.floats(0, 1), st.floats(0.2, 3))
def test_growth_is_found_below_a_rhythm_of_days(seed, phase, height):
    below = rhythm(height, phase)
    found = forecast(points(lambda day: below(day) + 10 + day, noise=0.2, seed=seed), 90.0)
    assert days_left(found) == pytest.approx(10, abs=2.5)


@seeded
@given(SEEDS, st.floats(50, 88), st.floats(0.01, 3), st.sampled_from([600, 3600]), st.floats(0.1, 28))
def test_noise_is_no_growth(seed, level, noise, every, days):
    assert forecast(points(lambda _: level, days, noise, seed, every), 90.0) is None


@seeded
@given(SEEDS, st.sampled_from([0.25, 0.5, 1, 2, 3, 7]), st.floats(2, 29), st.floats(0, 7), st.floats(0, 0.5))
def test_a_sawtooth_is_no_growth(seed, period, height, phase, noise):
    """Logs that are rotated each hour, day or week, whenever one looks."""
    assert forecast(points(sawtooth(period, height, phase), 28, noise, seed), 90.0) is None


@seeded
@given(SEEDS, st.floats(-27, 0), st.floats(-30, 25), st.floats(0, 0.5))
def test_a_step_is_no_growth(seed, day, size, noise):
    value = lambda moment: 60 + (size if moment > day else 0)  # noqa: E731
    assert forecast(points(value, 28, noise, seed), 90.0) is None
    assert forecast(points(value, 7, noise, seed), 90.0) is None


@seeded
@given(SEEDS, st.floats(0.1, 8), st.floats(3, 6), st.floats(1, 25), st.floats(0, 0.3))
def test_growth_that_has_ended(seed, lasted, ended, size, noise):
    """A restore of a backup, for some hours or days."""
    value = lambda day: 60 + size * min(1, max(0, (day + ended + lasted) / lasted))  # noqa: E731
    assert forecast(points(value, 28, noise, seed), 90.0) is None


@seeded
@given(SEEDS, st.floats(0.1, 0.5), st.floats(0, 3), st.floats(1, 25), st.floats(0, 0.3))
def test_a_step_of_some_hours_is_no_growth(seed, lasted, ended, size, noise):
    value = lambda day: 60 + size * min(1, max(0, (day + ended + lasted) / lasted))  # noqa: E731
    assert forecast(points(value, 28, noise, seed), 90.0) is None


@seeded
@given(SEEDS, st.sampled_from([rhythm, busy_nights]), st.floats(1, 25), st.floats(0, 1), st.floats(0, 28))
def test_a_rhythm_of_days_is_no_growth(seed, shape, height, phase, days):
    assert forecast(points(shape(height, phase), days, 0.2, seed), 90.0) is None


@seeded
@given(st.lists(st.tuples(st.floats(0, 40 * DAY), st.floats(-1e300, 1e300)), max_size=60), st.floats(-1e300, 1e300))
def test_whatever_the_points_are_a_forecast_lies_within_30_days(found, limit):
    history = sorted((NOW + time, value) for time, value in found)
    for from_above in (False, True):
        made = forecast(history, limit, from_above=from_above)
        assert made is None or 0 <= made.reached_at - history[-1][0] <= 30 * DAY


@seeded
@given(SEEDS, st.floats(-3, 3), st.floats(0, 1))
def test_from_above_is_the_mirror_image(seed, slope, noise):
    history = points(growing(80, slope), noise=noise, seed=seed)
    mirrored = forecast([(time, -value) for time, value in history], -90.0, from_above=True)
    above = forecast(history, 90.0)
    assert mirrored == (Forecast(above.reached_at, -above.slope) if above else None)


def test_the_days_left_of_a_certificate():
    found = forecast(points(growing(25, -1)), 14.0, from_above=True)
    assert (found.slope, found.days_left(NOW)) == (pytest.approx(-1), pytest.approx(11, abs=0.1))
    assert forecast(points(growing(25, -1)), 14.0) is None


def test_one_result_a_day_is_too_few():
    assert forecast(points(growing(80), every=86_400), 90.0) is None


@pytest.mark.parametrize("lost", [(2, 4), (0.5, 1), (10, 20)])
def test_days_without_points(lost):
    """The server was off."""
    history = [each for each in points(growing(80)) if not -lost[1] * DAY < each[0] - NOW < -lost[0] * DAY]
    assert days_left(forecast(history, 90.0)) == pytest.approx(10, abs=0.3)


def test_the_forecast_comes_nearer_with_time():
    """A message of a run is not contradicted by that of the next."""
    left = [days_left(forecast(points(growing(80 + hour / 24)), 90.0)) for hour in range(120)]
    assert all(0 < early - late < 0.1 for early, late in pairwise(left))


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (12.9, "reaches 90 % in 12 d"),
        (2.0, "reaches 90 % in 2 d"),
        (1.99, "reaches 90 % in 47 h"),
        (0.01, "reaches 90 % in 1 h"),
        (-3, "reaches 90 % in 1 h"),
    ],
)
def test_in_words(days, words):
    assert Forecast(NOW + days * DAY, 1.0).in_words("90 %", NOW) == words
