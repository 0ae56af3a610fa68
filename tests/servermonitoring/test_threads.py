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
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        bounded(threading.Event().wait, 0.05)


@pytest.mark.parametrize(("patience", "hanging"), [("_PATIENCE", "look"), ("_PATIENCE_AT_WORK", "remember")])
def test_a_history_that_hangs_holds_up_neither_page_nor_exit(suite, patience, hanging):
    """A disk that never answers; stood in for by a wait, since a frozen one would keep the process for good."""
    suite.write("test_mine.py", "import pytest\n@pytest.mark.healthcheck\ndef test_well():\n    pass\n")
    suite.write(
        "conftest.py",
        f"""
        import threading
        from healthchecks.plugin import finishing

        finishing.{patience} = 0.2
        finishing.history.{hanging} = lambda *_: threading.Event().wait()
        """,
    )
    outcome = suite.run("test_mine.py", "--monitoring-no-alerts")
    assert outcome.status == 0, outcome.output
    assert "history.sqlite: no answer within 0.2 s; the results of this run are kept, and stored when" in outcome.output
    assert "The one check is well" in (suite.page / "index.html").read_text()
    (suite.folder / "conftest.py").unlink()
    assert "stored 1 earlier run that had to wait" in suite.run("test_mine.py", "--monitoring-no-alerts").output
