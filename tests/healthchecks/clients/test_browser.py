"""What a browser's page is asked for again and again, until it is there or the time is over."""

import time

import pytest

from healthchecks import ProbeTimeout, Unhealthy
from healthchecks.clients.browser import BrowserSession


def session(seconds):
    """A session that has so much time left, and no browser."""
    made = BrowserSession.__new__(BrowserSession)
    made._ends_at = time.monotonic() + seconds
    return made


def answers(*values):
    """A condition with these values, after which the page does not respond any more."""
    left = iter(values)

    def condition():
        for each in left:
            return each
        raise ProbeTimeout("the page does not respond within 14 s")

    return condition


def test_the_last_question_is_cut_off_by_the_timeout():
    """On a busy machine an answer may take longer than what is left."""
    with pytest.raises(Unhealthy, match="no text"):
        session(1.5).wait(answers(False), "no text")


@pytest.mark.parametrize("values", [(), (False, False)])
def test_a_page_that_hangs_is_said_to_hang(values):
    with pytest.raises(ProbeTimeout, match="does not respond"):
        session(100 if values else 1.5).wait(answers(*values), "no text")


def test_what_is_there_ends_the_wait():
    session(100).wait(answers(False, True), "no text")
