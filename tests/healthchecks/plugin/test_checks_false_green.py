"""No false green: what did not run to its end, or did not say so by raising, is an error."""

import pytest

from tests.reliability import reliability

TARGET = """
    import asyncio, threading, unittest
    import pytest
    from healthchecks import Target, probe

    class Job(Target):
        word: str = "done"
"""


@pytest.fixture
def reported(suite):
    """Runs these checks; gives (status, message) of each."""

    def run(checks, *arguments):
        suite.write("test_mine.py", TARGET + checks)
        suite.configure('[job.one]\ntimeout = "60s"\n')
        outcome = suite.run("test_mine.py", *arguments)
        return outcome.status, {name: (each["status"], each["message"]) for name, each in outcome.checks.items()}

    return run


@reliability(
    "Checks", fault="a check is an async function", promise="it is awaited, and fails or passes by what it finds"
)
def test_async_checks_are_run(reported):
    status, checks = reported(
        """
    @pytest.mark.healthcheck
    async def test_plain():
        await asyncio.sleep(0)
        assert 1 == 2, "ran to its end"

    async def test_with_target(job: Job):
        await asyncio.sleep(0)
        assert job.word == "other", "ran to its end"

    async def test_ok(job: Job):
        await asyncio.sleep(0)

    class TestGroup:
        @pytest.mark.healthcheck
        async def test_method(self):
            assert 1 == 2, "ran to its end"

    @pytest.mark.healthcheck
    class Cases(unittest.TestCase):
        async def test_case(self):
            self.fail("ran to its end")

    @pytest.mark.healthcheck
    class AsyncCases(unittest.IsolatedAsyncioTestCase):
        async def test_async_case(self):
            await asyncio.sleep(0)
            self.fail("ran to its end")

        async def test_async_value(self):
            return 1 == 2
    """
    )
    assert status == 1
    failed = ("failed", "ran to its end")
    assert checks == {
        "plain[]": failed, "with_target[one]": failed, "ok[one]": ("ok", ""), "method[]": failed, "case[]": failed,
        "async_case[]": failed,
        "async_value[]": ("error", "the test returned a value of type bool: use assert instead of return"),
    }  # fmt: skip


@reliability(
    "Checks", fault="a probe is an async function", promise="it is awaited in its own thread, under its timeout"
)
def test_async_probes_are_run(reported):
    status, checks = reported(
        """
    @probe
    async def word(job: Job) -> str:
        await asyncio.sleep(0)
        assert threading.current_thread() is not threading.main_thread()
        return job.word

    @probe
    async def refusal(job: Job) -> None:
        await asyncio.sleep(0)
        raise ConnectionRefusedError("nobody there")

    def test_word(job: Job, word: str):
        assert word == "other", word

    async def test_both(job: Job, word: str):
        await asyncio.sleep(0)
        assert word == "other", f"async {word}"

    def test_refusal(job: Job, refusal: None):
        pass
    """
    )
    assert status == 1
    assert checks == {
        "word[one]": ("failed", "done"),
        "both[one]": ("failed", "async done"),
        "refusal[one]": ("failed", "ConnectionRefusedError: nobody there"),
    }


@reliability("Checks", fault="an async check or probe never ends", promise="it fails at its timeout")
def test_async_timeout(suite):
    suite.write(
        "test_mine.py",
        TARGET
        + """
    @probe
    async def silence(job: Job) -> None:
        await asyncio.Event().wait()

    def test_silence(job: Job, silence: None):
        pass

    async def test_hang(job: Job):
        await asyncio.Event().wait()
    """,
    )
    suite.configure('[job.one]\ntimeout = "0.3s"\n')
    outcome = suite.run()
    assert {each["message"] for each in outcome.checks.values()} == {"no response within 0.3 s"}
    assert len(outcome.checks) == 2


@reliability(
    "Checks", fault="a check returns False instead of asserting", promise="it is an error that says to use assert"
)
def test_returned_values_are_errors(reported):
    status, checks = reported(
        """
    def test_target(job: Job):
        return False

    async def test_async(job: Job):
        return False

    @pytest.mark.healthcheck
    class Cases(unittest.TestCase):
        def test_case(self):
            return False
    """
    )
    assert status == 1
    error = ("error", "the test returned a value of type bool: use assert instead of return")
    assert checks == {"target[one]": error, "async[one]": error, "case[]": error}


@reliability("Checks", fault="a probe yields, so that nothing in it runs", promise="its checks are errors that say so")
def test_generators_are_errors(reported):
    status, checks = reported(
        """
    @probe
    def word(job: Job):
        yield job.word

    @probe
    async def words(job: Job):
        yield job.word

    def test_word(job: Job, word):
        pass

    def test_words(job: Job, words):
        pass

    async def test_async_generator(job: Job):
        yield
    """
    )
    assert status == 1
    assert {name: status for name, (status, _) in checks.items()} == dict.fromkeys(
        ("word[one]", "words[one]", "async_generator[one]"), "error"
    )
    assert checks["word[one]"][1] == "word() is a generator, so nothing in it ran: return instead of yield"


PLUGIN = """
    import asyncio
    import functools
    import pytest

    def pytest_configure(config):
        config.addinivalue_line("markers", "asyncio: an async test")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(item):
        if item.get_closest_marker("asyncio"):
            item.runtest = lambda: run(item)

    def run(item):
        function = item.obj
        item.obj = functools.wraps(function)(lambda **named: asyncio.run(function(**named)) and None)
        item.ihook.pytest_pyfunc_call(pyfuncitem=item)
"""


@reliability(
    "Checks",
    fault="another plugin runs async tests by wrapping them, as pytest-asyncio does",
    promise="they are awaited once, and count",
)
def test_async_plugin(suite):
    suite.write("conftest.py", PLUGIN)
    suite.write(
        "test_mine.py",
        TARGET
        + """
    runs = []

    @pytest.mark.asyncio
    async def test_marked(job: Job):
        runs.append(1)
        await asyncio.sleep(0)
        assert runs == [], f"ran {len(runs)} times"

    @pytest.mark.asyncio
    async def test_returns(job: Job):
        return False
    """,
    )
    suite.configure("[job.one]\n")
    outcome = suite.run()
    assert outcome.checks["marked[one]"]["message"] == "ran 1 times"
    assert outcome.checks["returns[one]"]["status"] == "error", outcome.output
