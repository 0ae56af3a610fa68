"""A run that is ended from outside: what was known is stored, shown and alerted, whenever the signal comes."""

import itertools
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.healthchecks.plugin.received import alert, alerts, in_history
from tests.reliability import reliability

CHECKS = """
    import time
    import pytest

    @pytest.fixture
    def counter():
        yield
        {teardown}

    @pytest.mark.healthcheck(timeout=600)
    def test_bad(counter):
        assert False, "the shop is closed"

    @pytest.mark.healthcheck(timeout=600)
    def test_last():
        {last}
"""

SENDER = """
    import os
    import signal

    import pytest
    from healthchecks.plugin import shutdown, startup
    from healthchecks.plugin.alerting.dispatcher import Dispatcher
    from healthchecks.plugin.run import Results

    def send():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIG{name})

    def send_before(owner, name):
        original = getattr(owner, name)

        def call(*arguments, **keywords):
            setattr(owner, name, original)
            send()
            return original(*arguments, **keywords)

        setattr(owner, name, call)

"""

# As at some instructions that the compiler adds: each entry of the table says that 8 of them have no line.
WITHOUT_LINES = r"""
def pytest_runtest_logfinish(nodeid): 'bad' in nodeid and send()
code = pytest_runtest_logfinish.__code__
pytest_runtest_logfinish.__code__ = code.replace(co_linetable=b"\xff" * len(code.co_code))
"""

# When the signal comes: by which line of conftest.py, and how many of the two checks have a result then.
MOMENTS = {
    "while the run is prepared": ("send_before(startup, '_begin_page')", 0),
    "while a result is recorded": ("send_before(Results, 'record')", 1),
    "where Python knows no line": (WITHOUT_LINES, 1),
    "between two tests": ("def pytest_runtest_logfinish(nodeid): 'bad' in nodeid and send()", 1),
    "while alerts are dispatched": ("send_before(Dispatcher, 'dispatch')", 2),
    "while the history is written": ("send_before(shutdown, '_record')", 2),
    "while the page is written": ("send_before(shutdown, '_publish')", 2),
    "in a hook of the user at the end": ("def pytest_sessionfinish(): send()", 2),
    "while alerts are delivered": ("send_before(Dispatcher, 'deliver')", 2),
}


@pytest.fixture
def shop(suite, website):
    """Two checks, the first of which fails; alerts go to the website."""
    return alert(suite, website)


def write(shop, teardown="pass", last="pass"):
    shop.write("test_mine.py", CHECKS.format(teardown=teardown, last=last))


def assert_ended_in_order(shop, website, outcome, known):
    """Status 2 and no traceback; the results known are in status.json, history and alerts, the rest is counted."""
    assert outcome.status == 2, outcome.output
    assert "Traceback" not in outcome.output
    assert outcome.document["interrupted"] is True
    checks = ["bad", "last"][:known]
    assert [each["check"] for each in outcome.document["checks"]] == checks
    assert "cut off after" in (shop.page / "index.html").read_text()
    assert [each["check"] for each in alerts(website)] == checks[:1], outcome.output
    assert in_history(shop) == checks
    assert outcome.document["without_result"] == 2 - known


@reliability(
    "Signals",
    fault="SIGINT, SIGTERM or SIGHUP comes, twice, at any moment of a run",
    promise="one orderly end with status 2: what was known is stored, shown as cut off, and alerted; no traceback",
)
@pytest.mark.parametrize(("moment", "name"), [*zip(MOMENTS, itertools.cycle(["INT", "TERM", "HUP"]))])
def test_signal_at_any_moment(shop, website, moment, name):
    line, known = MOMENTS[moment]
    write(shop)
    shop.write("conftest.py", textwrap.dedent(SENDER).format(name=name) + line)
    assert_ended_in_order(shop, website, shop.run(), known)


def test_signal_in_teardown(shop, website):
    write(shop, teardown="import os, signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)")
    assert_ended_in_order(shop, website, shop.run(), 1)


def test_signal_in_teardown_of_a_check_with_retries(shop):
    """A pass is known at once; only a failure waits for its retries."""
    write(shop, teardown="import os, signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)")
    path = shop.folder / "test_mine.py"
    path.write_text(path.read_text().replace("=600)", "=600, retries=1)").replace("assert False", "assert True"))
    outcome = shop.run()
    assert outcome.status == 2, outcome.output
    assert outcome.checks["bad[]"]["status"] == "ok"


@reliability(
    "Signals",
    fault="signals come without pause, from an impatient person or a supervisor",
    promise="they change nothing after the first",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_storm_of_signals(shop, website, number):
    write(shop, last="time.sleep(600)")
    process = shop.start("test_mine.py", "-v")
    for line in process.stdout:
        if "test_bad FAILED" in line:
            break
    while process.poll() is None:
        process.send_signal(number)
        with_pause(process)
    assert_ended_in_order(shop, website, shop.finish(process), 1)


def with_pause(process):
    try:
        process.wait(0.02)
    except subprocess.TimeoutExpired:
        return


@reliability(
    "Signals",
    fault="the end of an interrupted run hangs, in a fixture of the user",
    promise="a signal after 10 seconds ends the process at once; everything was stored before",
)
def test_signal_after_the_grace_ends_at_once(shop):
    """It is a second one, since the first interrupts the hook."""
    write(shop)
    shop.write(
        "conftest.py",
        """
        import time
        import pytest
        from healthchecks.plugin import signals

        signals._GRACE = 0.0

        def pytest_sessionfinish():
            while True:
                try:
                    print("hanging now", flush=True)
                    time.sleep(600)
                except KeyboardInterrupt:
                    pass
        """,
    )
    process = shop.start("test_mine.py", "-s")
    for line in process.stdout:
        if "hanging now" in line:
            break
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with_pause(process)
    outcome = shop.finish(process)
    assert outcome.status == -signal.SIGTERM
    assert list(outcome.checks) == ["bad[]", "last[]"]


@reliability(
    "Signals",
    fault="a check forks a child, and ends it by SIGTERM",
    promise="the child ends: it has not the run's way with signals",
)
def test_forked_child_ends_by_signal(suite):
    suite.write(
        "test_mine.py",
        """
        import multiprocessing, time
        import pytest

        def work(ready):
            ready.set()
            time.sleep(600)

        @pytest.mark.healthcheck(timeout=60)
        def test_child():
            fork = multiprocessing.get_context("fork")
            ready = fork.Event()
            child = fork.Process(target=work, args=(ready,))
            child.start()
            ready.wait()
            child.terminate()
            child.join()
            assert child.exitcode == -15
        """,
    )
    outcome = suite.run()
    assert outcome.status == 0, outcome.output


@reliability(
    "Signals",
    fault="a check forks a child that computes, or is about to wait, and ends it by SIGTERM",
    promise="the child ends at once: its signals are the kernel's again, not Python's, which waits for a call to end",
)
def test_forked_child_in_a_long_call_ends_by_signal(suite):
    suite.write(
        "test_mine.py",
        """
        import collections, itertools, os, signal
        import pytest

        @pytest.mark.healthcheck(timeout=60)
        def test_child():
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                os.write(writing, b"ready")
                collections.deque(itertools.repeat(0), maxlen=0)  # a call that never returns to Python
            os.read(reading, 5)
            os.kill(child, signal.SIGTERM)
            assert os.waitpid(child, 0)[1] == signal.SIGTERM
        """,
    )
    outcome = suite.run()
    assert outcome.status == 0, outcome.output


def test_ignored_signals_stay_ignored(shop):
    release = shop.folder / "release"
    write(shop, last=f"import pathlib\n        while not pathlib.Path({str(release)!r}).exists(): time.sleep(0.05)")
    shop.forked = False  # or it would not inherit what follows
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = shop.start("test_mine.py", "-v")
    finally:
        signal.signal(signal.SIGHUP, before)
    for line in process.stdout:
        if "test_bad FAILED" in line:
            break
    process.send_signal(signal.SIGHUP)
    release.touch()
    outcome = shop.finish(process)
    assert outcome.status == 1, outcome.output
    assert outcome.document["interrupted"] is False


def test_handlers_are_restored(suite):
    """A program that runs the suite by pytest.main() has its own handlers again afterwards."""
    write(suite)
    script = """
        import signal, pytest
        names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.getsignal(each) for each in names]
        assert pytest.main(["-q", "-p", "no:cacheprovider", "test_mine.py"]) == 1
        assert [signal.getsignal(each) for each in names] == before
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, cwd=suite.folder, env=suite.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@reliability(
    "Signals",
    fault="a hook of the user hangs, while tests run or at the end",
    promise="one signal ends it, and the run in order",
)
@pytest.mark.parametrize(("hook", "known"), [("pytest_runtest_logfinish", 1), ("pytest_sessionfinish", 2)])
def test_signal_ends_a_hook_that_hangs(shop, website, hook, known):
    write(shop)
    hangs = "print('hanging now', flush=True); time.sleep(600)"
    shop.write("conftest.py", f"import time\n\ndef {hook}():\n    {hangs}\n")
    process = shop.start("test_mine.py", "-s")
    for line in process.stdout:
        if "hanging now" in line:
            break
    process.send_signal(signal.SIGTERM)
    assert_ended_in_order(shop, website, shop.finish(process), known)


MISSED = """
import os, signal, time

def pytest_runtest_logfinish(nodeid):
    if "bad" in nodeid:
        os.write(signal.set_wakeup_fd(-1), bytes([signal.SIGTERM]))  # as if Python had noted it, and not handled it yet
        time.sleep(600)
"""


@reliability(
    "Signals",
    fault="a signal comes just before a call that waits, so that Python would handle it when the call returns",
    promise="it is sent once more, and ends the run in order",
)
def test_signal_whose_handler_does_not_run(shop, website):
    write(shop)
    shop.write("conftest.py", MISSED)
    assert_ended_in_order(shop, website, shop.run(), 1)
