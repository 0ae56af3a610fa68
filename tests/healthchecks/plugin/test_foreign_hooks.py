"""Hooks of the user and of other plugins that fail: the run goes on, and says whose hook it was."""

import textwrap

import pytest

from tests.healthchecks.plugin.received import alert, alerts, in_history
from tests.reliability import reliability

CHECKS = """
    import pytest

    @pytest.mark.healthcheck
    def test_bad():
        assert False, "the shop is closed"

    @pytest.mark.healthcheck
    def test_ok():
        pass
"""

PLAIN = """
    def {hook}():
        raise {error}
"""
BEFORE = """
    import pytest

    @pytest.hookimpl(wrapper=True)
    def {hook}():
        raise {error}
        yield
"""
AFTER = """
    import pytest

    @pytest.hookimpl(wrapper=True)
    def {hook}():
        yield
        raise {error}
"""
OLD = """
    import pytest

    @pytest.hookimpl(hookwrapper=True)
    def {hook}():
        outcome = yield
        outcome.get_result()
        raise {error}
"""

HOOKS = (
    "pytest_runtest_protocol", "pytest_runtest_logstart", "pytest_runtest_makereport", "pytest_runtest_logreport",
    "pytest_html_results_table_row", "pytest_html_results_table_html", "pytest_html_results_summary",
    "pytest_sessionfinish", "pytest_terminal_summary",
)  # fmt: skip


@pytest.fixture
def shop(suite, website):
    """Two checks, the first of which fails; alerts go to the website."""
    suite.write("test_mine.py", CHECKS)
    return alert(suite, website)


def assert_all_is_reported(shop, website, outcome, fault):
    """Page, status.json, history and alerts are right; the fault is one alert of the suite, and status 3."""
    assert outcome.status == 3, outcome.output
    assert "Traceback" not in outcome.output
    assert {check: each["status"] for check, each in outcome.checks.items()} == {"bad[]": "failed", "ok[]": "ok"}
    assert outcome.document["interrupted"] is False
    page = (shop.page / "index.html").read_text()
    assert "1 of 2 checks failed" in page
    assert page.count("test_mine.py::test_") >= 2, "the table of the last run lacks rows"
    reported = alerts(website)
    assert [each["label"] for each in reported] == ["bad", "suite[pytest]"], outcome.output
    assert fault in reported[1]["message"]
    assert fault in outcome.output
    assert in_history(shop) == ["bad", "ok"]


@reliability(
    "Plugins and options",
    fault="a hook of the user, or of another plugin, raises",
    promise="page, history and alerts are right; the fault is one suite error with the hook's name; status 3",
)
@pytest.mark.parametrize("hook", HOOKS)
def test_hook_that_raises(shop, website, hook):
    shop.write("conftest.py", PLAIN.format(hook=hook, error="ValueError('boom')"))
    fault = f"the hook {hook} of {shop.folder / 'conftest.py'} failed: ValueError: boom"
    assert_all_is_reported(shop, website, shop.run(), fault)


@reliability(
    "Plugins and options",
    fault="a hook wrapper raises before or after what it wraps, or ends the process by sys.exit()",
    promise="what it wraps keeps its result",
)
@pytest.mark.parametrize("text", [BEFORE, AFTER, OLD])
@pytest.mark.parametrize("hook", ["pytest_runtest_makereport", "pytest_sessionfinish"])
def test_wrapper_that_raises(shop, website, text, hook):
    shop.write("conftest.py", text.format(hook=hook, error="SystemExit(0)"))
    fault = f"the hook {hook} of {shop.folder / 'conftest.py'} failed: SystemExit: 0"
    assert_all_is_reported(shop, website, shop.run(), fault)


@reliability(
    "Plugins and options",
    fault="a user's wrapper of pytest_runtest_makereport forgets to return the report",
    promise="the report is used all the same",
)
def test_wrapper_that_returns_nothing(shop):
    text = """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport():
            yield
    """
    shop.write("conftest.py", text)
    outcome = shop.run()
    assert outcome.status == 1, outcome.output
    assert {check: each["status"] for check, each in outcome.checks.items()} == {"bad[]": "failed", "ok[]": "ok"}


@reliability(
    "Plugins and options",
    fault="--junitxml is on a full disk",
    promise="page, history and alerts are right; a suite error names the plugin; status 3",
)
def test_junit_on_a_full_disk(shop, website):
    outcome = shop.run("test_mine.py", "--junitxml=/dev/full")
    fault = "the hook pytest_sessionfinish of junitxml failed: OSError: [Errno 28] No space left on device"
    assert_all_is_reported(shop, website, outcome, fault)


@reliability(
    "Plugins and options",
    fault="--log-file is on a full disk, which pytest finds when it closes the file",
    promise="page, history and alerts are right; it is said on stderr, and the status is 3",
)
def test_log_file_on_a_full_disk(shop):
    shop.write("test_mine.py", CHECKS.replace("pass", "import logging; logging.error('heard')"))
    outcome = shop.run("test_mine.py", "--log-file=/dev/full", "--log-file-level=DEBUG")
    assert outcome.status == 3, outcome.output
    assert "healthchecks: the hook pytest_unconfigure of logging failed: OSError: [Errno 28]" in outcome.output
    assert "Traceback" not in outcome.output
    assert in_history(shop) == ["bad", "ok"]


@reliability(
    "Plugins and options",
    fault="a hook fails after everything was alerted (pytest_unconfigure)",
    promise="it is said on stderr, so that cron mails it, and the status is 3",
)
def test_hook_that_fails_at_the_very_end(shop):
    shop.write("conftest.py", PLAIN.format(hook="pytest_unconfigure", error="ValueError('late')"))
    outcome = shop.run()
    assert outcome.status == 3
    assert f"healthchecks: the hook pytest_unconfigure of {shop.folder / 'conftest.py'} failed" in outcome.output
    assert "Traceback" not in outcome.output


@reliability(
    "Plugins and options",
    fault="a hook of the user ends the process at once, in pytest_sessionfinish",
    promise="page and history are written before; alerts are in the spool, and the next run sends them",
)
def test_process_that_ends_in_a_hook(shop, website):
    path = shop.write("conftest.py", "import os\n\ndef pytest_sessionfinish():\n    os._exit(9)\n")
    outcome = shop.run()
    assert outcome.status == 9
    assert outcome.document["status"] == "failed"
    path.unlink()
    shop.run()
    assert {each["label"] for each in alerts(website)} == {"bad"}


def test_hooks_may_still_end_the_run(shop):
    """pytest.exit() in a hook is meant; what had a result is kept."""
    text = """
        import pytest

        def pytest_runtest_logfinish():
            pytest.exit("enough", returncode=7)
    """
    shop.write("conftest.py", textwrap.dedent(text))
    outcome = shop.run()
    assert outcome.status == 7
    assert list(outcome.checks) == ["bad[]"]
    assert outcome.document["without_result"] == 1


def test_hooks_of_a_run_without_checks_are_left_alone(suite):
    """An unrelated run ends by a hook's error, as pytest does it."""
    suite.write("test_mine.py", "def test_ok():\n    pass\n")
    suite.write("conftest.py", PLAIN.format(hook="pytest_runtest_logreport", error="ValueError('boom')"))
    outcome = suite.run()
    assert outcome.status == 3
    assert "INTERNALERROR" in outcome.output
