"""A secret that stands where a text is cut leaves no half of it, wherever texts are cut."""

import logging

import pytest

from healthchecks.clients.http.body import first_difference
from healthchecks.clients.postgresql.query import LONGEST_CELL, _cell
from healthchecks.plugin.logs import Collector
from healthchecks.plugin.outcome import describe
from healthchecks.plugin.result import LARGEST, clean
from healthchecks.sql_reports.report import _NAME, _rows
from servermonitoring.scrubbing import remember
from watchdog.browsers import Browser

SECRET = "kaleidoscope-of-1967-and-more"


def value(text):
    return first_difference(f'{{"a": "{text}"}}', {"a": "b"})


def cell(text):
    fetched = text[: LONGEST_CELL + 500]  # what the server gives
    return _cell(fetched, len(text.encode()))


def log(text):
    collector = Collector()
    collector.emit(logging.LogRecord("mine", logging.ERROR, __file__, 1, text, (), None))
    return collector.take()[0].text


def command(text):
    browser = object.__new__(Browser)
    browser.arguments = [text]
    return browser.command


def row(text):
    answer = type("Answer", (), {"rows": [(text,)], "count": 1, "exact": True})
    return _rows(answer)


PLACES = {
    "a value of JSON": (value, 100),
    "a cell of a report": (cell, LONGEST_CELL),
    "a log": (log, 8_000),
    "a message": (lambda text: describe(AssertionError(text)), 2_000),
    "a command that was killed": (command, 1_000),
    "an attachment": (lambda text: clean(text, LARGEST), LARGEST),
    "a row in a message": (row, _NAME),
}


@pytest.mark.parametrize(("shown", "limit"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("letters_before", [5, 12, 21, 28])
def test_no_half_is_left(shown, limit, letters_before):
    remember(SECRET)
    text = shown((". " * limit)[: limit - letters_before] + SECRET + "." * 10_000)
    assert len(text) <= limit + 100
    assert not any(piece in text for piece in ("kalei", "scope", "-of-1", "1967"))


def test_cut_texts_are_marked():
    assert describe(AssertionError("x" * 3000)) == "x" * 1999 + "…"
    assert value("y" * 200).count("…") == 1
