"""Setup, call and teardown of a check are bounded by its timeout, and all of them by the run's."""

import json
import signal
import time

import pytest

from tests.reliability import reliability

HANGS = """
    import concurrent.futures, threading, unittest
    import pytest
    from healthchecks import Target, probe

    class Job(Target):
        pass

    @probe
    def word(job: Job) -> str:
        return "done"

    def hang():
        threading.Event().wait()

    def test_before(job: Job, word):
        pass

    {check}

    def test_behind(job: Job, word):
        assert word == "other", "asserted"
"""
SETUP = """
    @pytest.fixture
    def connection():
        hang()

    def test_it(job: Job, word, connection):
        pass
"""
TEARDOWN = """
    @pytest.fixture
    def connection():
        yield
        hang()

    def test_it(job: Job, word, connection):
        pass
"""
MODULE = """
    @pytest.fixture(scope="module")
    def connection(request):
        request.addfinalizer(lambda: open("finalized", "w"))
        hang()

    def test_it(job: Job, word, connection):
        pass
"""
BODY = """
    def test_it(job: Job, word):
        hang()
"""
PLAIN = """
    @pytest.mark.healthcheck(timeout="0.5s")
    def test_it():
        hang()
"""
CASE = """
    @pytest.mark.healthcheck(timeout="0.5s")
    class Cases(unittest.TestCase):
        def test_it(self):
            hang()
"""


@pytest.fixture
def job(suite):
    suite.configure('[job.one]\ntimeout = "0.5s"\n')
    return suite


@reliability(
    "Checks",
    fault="a fixture, a test or a unittest method hangs",
    promise="its check says so at its timeout, all others have their results",
)
@pytest.mark.parametrize(
    ("check", "status", "message"),
    [
        pytest.param(SETUP, "error", "setup did not end within 0.5 s", id="setup"),
        pytest.param(TEARDOWN, "error", "teardown did not end within 0.5 s", id="teardown"),
        pytest.param(MODULE, "error", "setup did not end within 0.5 s", id="module-fixture"),
        pytest.param(BODY, "error", "the test did not end within 0.5 s", id="test"),
        pytest.param(PLAIN, "failed", "no response within 0.5 s", id="plain-test"),
        pytest.param(CASE, "failed", "no response within 0.5 s", id="unittest"),
    ],
)
def test_hanging_phase(job, check, status, message):
    job.write("test_mine.py", HANGS.replace("{check}", check))
    outcome = job.run()
    assert outcome.status == 1, outcome.output
    it = next(each for name, each in outcome.checks.items() if name.startswith("it["))
    assert (it["status"], it["message"]) == (status, message)
    assert outcome.checks["before[one]"]["status"] == "ok"
    assert outcome.checks["behind[one]"]["message"] == "asserted"


@reliability(
    "Checks",
    fault="many checks hang in fixtures and tests, beyond the run's timeout",
    promise="the run ends a few seconds after its timeout, and everything known is recorded and shown",
)
def test_run_timeout_bounds_all_phases(suite):
    suite.write(
        "test_mine.py",
        """
        import threading
        import pytest

        @pytest.fixture
        def connection():
            threading.Event().wait()

        @pytest.mark.healthcheck
        def test_ok():
            pass

        @pytest.mark.healthcheck(timeout="600s")
        @pytest.mark.parametrize("number", range(75))
        def test_setup(number, connection):
            pass

        @pytest.mark.healthcheck(timeout="600s")
        @pytest.mark.parametrize("number", range(75))
        def test_call(number):
            threading.Event().wait()
        """,
    )
    suite.configure('[run]\ntimeout = "2s"\n')
    began = time.monotonic()
    outcome = suite.run()
    assert time.monotonic() - began < 170  # each of them alone would take 600 s
    assert outcome.status == 1, outcome.output
    assert len(outcome.checks) == 151
    assert outcome.checks["ok[]"]["status"] == "ok"
    assert "151 checks" in outcome.output


@reliability(
    "Checks",
    fault="a fixture that many checks share hangs",
    promise="they are errors together, after one timeout",
)
def test_shared_fixture_hangs(suite):
    suite.write(
        "test_mine.py",
        """
        import threading
        import pytest

        @pytest.fixture(scope="session")
        def connection():
            with open("begun", "a") as file:
                file.write("x")
            threading.Event().wait()

        @pytest.mark.healthcheck(timeout="1s")
        @pytest.mark.parametrize("number", range(30))
        def test_it(number, connection):
            pass
        """,
    )
    outcome = suite.run()
    assert len(outcome.checks) == 30
    assert {each["message"] for each in outcome.checks.values()} == {"setup did not end within 1 s"}
    assert (suite.folder / "begun").read_text() == "x"


@reliability(
    "Checks",
    fault="a teardown hangs",
    promise="fixtures of the module and the session are torn down all the same",
)
def test_other_teardowns_are_done(job):
    check = """
    @pytest.fixture(scope="module")
    def disk(tmp_path_factory):
        yield
        open("module is torn down", "w")

    @pytest.fixture(scope="session")
    def server():
        yield
        open("session is torn down", "w")

    @pytest.fixture
    def connection(disk, server):
        yield
        hang()

    def test_it(job: Job, word, connection):
        pass
    """
    job.write("test_mine.py", HANGS.replace("{check}", check))
    outcome = job.run()
    assert outcome.checks["it[one]"]["message"] == "teardown did not end within 0.5 s"
    assert (job.folder / "module is torn down").exists()
    assert (job.folder / "session is torn down").exists()


@reliability(
    "Checks",
    fault="threads of a check are still busy when the run is over",
    promise="they do not hold the end of the process",
)
def test_leaked_threads_do_not_hold_the_exit(suite):
    suite.write(
        "test_mine.py",
        """
        import concurrent.futures, threading, time
        import pytest

        @pytest.mark.healthcheck
        def test_leaks():
            concurrent.futures.ThreadPoolExecutor().submit(time.sleep, 600)
            threading.Thread(target=time.sleep, args=(600,)).start()
            assert 1 == 2, "asserted"
        """,
    )
    outcome = suite.run()  # which raises if the process is still there after a minute
    assert outcome.status == 1
    assert outcome.checks["leaks[]"]["message"] == "asserted"
    assert "1 failed in" in outcome.output


@reliability(
    "Checks",
    fault="a hook in a user's conftest.py hangs",
    promise="the run is interrupted 10 s after its timeout; what is known is recorded, shown and alerted",
)
def test_hanging_hook(suite):
    suite.write(
        "conftest.py",
        """
        import threading

        def pytest_runtest_setup(item):
            if item.name == "test_hooked":
                threading.Event().wait()
        """,
    )
    suite.write(
        "test_mine.py",
        """
        import pytest

        @pytest.mark.healthcheck
        def test_bad():
            assert 1 == 2, "asserted"

        @pytest.mark.healthcheck
        def test_hooked():
            pass
        """,
    )
    suite.configure('[run]\ntimeout = "2s"\n')
    outcome = suite.run()
    assert outcome.status == 2, outcome.output
    assert outcome.checks["bad[]"]["message"] == "asserted"
    assert outcome.document["interrupted"]
    assert "the run was interrupted: it had not ended 10 s after its timeout" in outcome.output


@reliability(
    "Checks",
    fault="a check uses a client that is bound to the thread that made it",
    promise="setup, test and teardown of one check run in one thread",
)
def test_phases_share_a_thread(suite):
    suite.write(
        "test_mine.py",
        """
        import sqlite3
        import pytest

        @pytest.fixture
        def database():
            with sqlite3.connect(":memory:") as database:
                yield database
            database.execute("select 1")
            database.close()

        @pytest.mark.healthcheck
        def test_database(database):
            assert database.execute("select 42").fetchone() == (41,), "asserted"
        """,
    )
    assert suite.run().checks["database[]"]["message"] == "asserted"


def test_log_of_a_test_is_caught(job):
    """What the test itself and its fixtures log is theirs, and can be asserted with caplog."""
    check = """
    import logging

    @pytest.fixture
    def connection():
        logging.getLogger("mine").warning("connected")

    def test_it(job: Job, word, connection, caplog):
        logging.getLogger("mine").warning("asked")
        assert [each.message for each in caplog.get_records("setup")] == ["connected"]
        assert caplog.messages == ["asked"]
        raise AssertionError("asserted")
    """
    job.write("test_mine.py", HANGS.replace("{check}", check))
    assert job.run().checks["it[one]"]["message"] == "asserted"


def test_status_json_is_complete(job):
    """A check that hangs in its setup is on the page too."""
    job.write("test_mine.py", HANGS.replace("{check}", SETUP))
    job.run()
    document = json.loads((job.page / "status.json").read_text())
    assert document["status"] == "failed"
    assert "setup did not end within 0.5 s" in (job.page / "index.html").read_text()


def test_interrupted_test_is_cleaned_up(suite):
    suite.write(
        "test_mine.py",
        """
        import threading
        from pathlib import Path
        import pytest
        from healthchecks import on_timeout

        @pytest.fixture
        def connection():
            yield
            Path("torn down").touch()

        @pytest.mark.healthcheck(timeout="600s")
        def test_it(connection):
            on_timeout(Path("cleaned up").touch)
            Path("begun").touch()
            threading.Event().wait()
        """,
    )
    process = suite.start("test_mine.py")
    while not (suite.folder / "begun").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    outcome = suite.finish(process)
    assert outcome.status == 2, outcome.output
    assert (suite.folder / "cleaned up").exists()
    assert (suite.folder / "torn down").exists()
