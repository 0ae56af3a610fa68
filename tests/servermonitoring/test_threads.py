"""What may hang has a limit of time."""

import threading

import pytest

from servermonitoring.threads import bounded


def test_what_is_in_time_is_given():
    assert bounded(lambda: 5, 10) == 5


def test_what_is_raised_is_raised_here():
    def fail():
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        bounded(fail, 10)


def test_what_hangs_is_left_behind():
    with pytest.raises(TimeoutError, match=r"no response within 0\.05 s"):
        bounded(threading.Event().wait, 0.05)
