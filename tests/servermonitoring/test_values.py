"""Durations, sizes and percentages: read as people write them, and written as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servermonitoring.values import (
    counted,
    duration,
    in_words,
    part_in_words,
    percent,
    percent_limit,
    percentage,
    size,
    size_in_words,
)
from tests.reliability import reliability

READERS = (duration, size, percentage)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "soon", "1.2.3", "-5s", "-1", "1,5", "5 apples", "s", "%", "0x10", "1e3", "inf", "nan", "9" * 400),
        *(-1, -0.5, math.inf, -math.inf, math.nan, 10**400, True, False, None, [], {}, b"5"),
    ],
    ids=repr,
)
def test_anything_else_is_refused_in_words(reader, value):
    """One kind of error for every wrong value, and it says what to write instead."""
    with pytest.raises(ValueError, match=r" is not a \w+: write .+"):
        reader(value)


def test_units_of_another_kind_are_refused():
    for reader, value in [(duration, "5MB"), (duration, "5%"), (size, "5s"), (size, "5%"), (percentage, "5s")]:
        with pytest.raises(ValueError, match="is not a"):
            reader(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((90, 90), (0, 0), (1.5, 1.5), ("90", 90), ("90s", 90), ("250ms", 0.25), ("3m", 180), ("3min", 180)),
        *(("1h", 3600), ("2d", 172800), (" 1.5 h ", 5400), ("10S", 10)),
    ],
)
def test_durations(value, seconds):
    assert duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        *((1200, 1200), ("1200", 1200), ("500MB", 500_000_000), ("1.2GB", 1_200_000_000), ("1GiB", 2**30)),
        *(("1.5 kib", 1536), ("2tb", 2 * 10**12), ("7B", 7), ("1KB", 1000)),
    ],
)
def test_sizes(value, count):
    """GB is decimal, GiB is binary, and a whole number of bytes comes out."""
    assert size(value) == count
    assert isinstance(size(value), int)


def test_percentages():
    assert percentage("90%") == pytest.approx(0.9)
    assert percentage(0.9) == percentage("0.9") == 0.9
    assert (percentage("0%"), percentage("1%"), percentage("100%"), percentage(0)) == (0, 0.01, 1, 0)


@reliability("Configuration", fault="a limit is written as 1", promise="the error asks whether it is 1 % or 100 %")
@pytest.mark.parametrize("value", [1, 1.0, "1", "1.0"])
def test_one_is_unclear(value):
    with pytest.raises(ValueError, match='may mean 1 % or all: write "1%" or "100%"'):
        percentage(value)


@pytest.mark.parametrize(("reader", "value"), [(duration, "3661d"), (duration, 1e10), (size, "1001TB"), (size, 1e20)])
def test_more_than_anybody_means(reader, value):
    with pytest.raises(ValueError, match=r"is more than (3660d|1000TB)"):
        reader(value)


@pytest.mark.parametrize("value", ["101%", 90, "90", 1.01])
def test_more_than_all_is_refused(value):
    """90 is not 90 %: an error at once, instead of no alert about a full disk."""
    with pytest.raises(ValueError, match='more than all: write "90%"'):
        percentage(value)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((-3, "0 s"), (0, "0 s"), (0.00001, "0 s"), (0.1234, "0.123 s"), (45, "45 s"), (59.9, "59.9 s")),
        *((59.99, "1 min"), (60, "1 min"), (200, "3 min 20 s"), (7200, "2 h"), (7205, "2 h"), (3599.9, "1 h")),
        *((86400 * 5 + 3 * 3600, "5 d 3 h"), (86400 * 400, "400 d")),
    ],
)
def test_durations_in_words(seconds, words):
    """At most two units, the largest that say something."""
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        *((0, "0 B"), (999, "999 B"), (999.7, "1 kB"), (1000, "1 kB"), (999_700, "1 MB"), (1_234_567, "1.23 MB")),
        *((1_200_000_000, "1.2 GB"), (5 * 10**12, "5 TB"), (1234 * 10**12, "1234 TB")),
    ],
)
def test_sizes_in_words(count, words):
    assert size_in_words(count) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        *((328_000_000, 8_000_000_000, "0.3 of 8.0 GB"), (65_500, 1_048_576, "65.5 kB of 1.0 MB")),
        *((0, 2 * 10**12, "0.0 of 2.0 TB"), (50, 1000, "50 B of 1.0 kB"), (50, 999, "50.0 of 999.0 B")),
    ],
)
def test_part_in_words(part, whole, words):
    """A part that would be 0.0 of the whole's unit has its own."""
    assert part_in_words(part, whole) == words


def test_percent_in_words():
    assert [percent(each) for each in (0.041, 0.9, 1)] == ["4.1 %", "90.0 %", "100.0 %"]
    assert [percent_limit(each) for each in (0.05, 0.995, 1, 0)] == ["5 %", "99.5 %", "100 %", "0 %"]


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()))
def test_whatever_is_given_there_is_a_number_or_a_value_error(value):
    for reader in READERS:
        try:
            number = reader(value)
        except ValueError:
            continue
        assert 0 <= number < math.inf


@given(st.integers(0, 3660), st.sampled_from(["s", "m", "h", "d"]))
def test_a_duration_comes_back_in_words_of_at_most_two_units(count, unit):
    words = in_words(duration(f"{count}{unit}"))
    assert 2 <= len(words.split()) <= 4
    assert "e" not in words


@given(st.integers(0, 10**15))
def test_a_size_in_words_reads_back_as_nearly_the_same(count):
    """Three digits are kept, and there is never an exponent."""
    words = size_in_words(count)
    assert "e" not in words
    assert size(words) == pytest.approx(count, rel=0.006)


def test_counts():
    assert [counted(count, "message") for count in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]
