"""What may hang has a limit of time."""

import threading

import pytest

from healthchecks.plugin.bounded import bounded


def test_what_is_in_time_is_given():
    assert bounded(lambda: 5, 10) == 5


def test_what_is_raised_is_raised_here():
    def fail():
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        bounded(fail, 10)


def test_what_hangs_is_left_behind():
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        bounded(threading.Event().wait, 0.05)


def test_a_history_that_hangs_holds_up_neither_page_nor_exit(suite):
    """A disk that never answers; stood in for by a wait, since a frozen one would keep the process for good."""
    suite.write("test_mine.py", "import pytest\n@pytest.mark.healthcheck\ndef test_well():\n    pass\n")
    suite.write(
        "conftest.py",
        """
        import threading
        from healthchecks.plugin import finishing

        finishing._PATIENCE = 0.2
        finishing.history.remember = lambda *_: threading.Event().wait()
        """,
    )
    outcome = suite.run("test_mine.py", "--no-alerts")
    assert outcome.status == 0, outcome.output
    assert "history.sqlite: no answer within 0.2 s; this run is not in it" in outcome.output
    assert "The one check is well" in (suite.page / "index.html").read_text()
