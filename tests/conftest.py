"""What the project's own tests share: real servers, and a count of what missing programs cost."""

import os
import random
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.scheduled import checkout  # noqa: F401 - a fixture
from tests.servers.fixtures import *  # noqa: F403 - fixtures, by their names
from tests.suite import run_suite, suite  # noqa: F401 - fixtures

MISSING = "missing: "
LONGEST = (  # files of tests that come first, by their length, or one worker would end long after the others
    "test_rabbitmq", "test_cron", "test_page", "test_package", "test_bookmarklet", "test_ansible",
    "test_alerts_sent", "test_page_whole", "test_benchmarks", "test_killed_runs", "test_firefox", "test_survival",
    "test_soak", "test_faults", "test_command",
    "test_regression", "test_report_running", "test_bookmarklet_left_behind", "test_celery", "test_installing",
    "test_process_tree", "test_selenium", "test_leftovers", "test_peers", "test_tools", "test_plugins_and_options",
    "test_report_safety", "test_alerts_elsewhere", "test_hangs", "test_configuration", "test_checks_harmless",
    "test_database", "test_history_faults", "test_website", "test_prometheus", "test_metrics",
    "test_running", "test_chromium", "test_records", "test_crashes", "test_browsers", "test_checks_bounded",
    "test_database_page", "test_author_mistakes", "test_configuration_bounds", "test_handler", "test_result_text",
    "test_page_content", "test_alert", "test_documentation", "test_report_alerts", "test_marionette",
    "test_termination", "test_foreign_hooks", "test_spool_oddities", "test_stalls", "test_configuration_secrets",
    "test_report_shipped", "test_alerts_per_host", "test_identity", "test_site", "test_history_export", "test_system",
    "test_roles", "test_memory", "test_values", "test_origins", "test_preload", "test_signals", "test_tcp",
    "test_tls", "test_redis", "test_dns", "test_notify", "test_alerts_delivered", "test_silence", "test_only",
    "test_peer", "test_heartbeat", "test_daemon", "test_containers", "test_watchdog", "test_disk",
)  # fmt: skip
_LONGEST = 400  # characters of a failure's reason in the summary

# How long an example takes says more about the machine than about its subject.
hypothesis.settings.register_profile("servermonitoring", deadline=None)
hypothesis.settings.load_profile("servermonitoring")

# A run in the background is deaf to SIGINT and SIGQUIT, and so would be all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle-files", metavar="SEED", help="run the files of tests in a random order of this seed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "reliability(area, fault, promise): a row of docs/reliability.md")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order whole files, since a file is what one worker runs; every worker gets the same order."""
    files = list({item.path: None for item in items})
    if seed := config.getoption("shuffle_files"):
        random.Random(seed).shuffle(files)
    else:
        files.sort(key=lambda path: LONGEST.index(path.stem) if path.stem in LONGEST else len(LONGEST))
    place = {path: number for number, path in enumerate(files)}
    items.sort(key=lambda item: place[item.path])


def pytest_sessionstart(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        from tests.schedule import compile_part  # xdist may be switched off

        compile_part(session.config)


def pytest_keyboard_interrupt() -> None:
    """Let the fixtures of an interrupted worker end what they have started, however long that takes.

    execnet interrupts a worker once more when it has not ended after five seconds.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from tests.schedule import ServerScheduling  # xdist may be switched off

    return ServerScheduling(config, log)


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that other users may enter: those of pytest are closed to them at each start of a run."""
    path = Path(tempfile.mkdtemp(prefix="servermonitoring-tests-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """Name each failed test and its reason in the last lines, in place of pytest's list, which cuts reasons off."""
    if terminalreporter.config.option.reportchars == "fE":  # nothing else was asked for
        terminalreporter.reportchars = "w"
    yield
    _write_missing(terminalreporter)
    for report in [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]:
        terminalreporter.write_line(f"FAILED {report.nodeid}", red=True)
        terminalreporter.write_line(f"    {_failure(report)}")


def _write_missing(terminalreporter: Any) -> None:
    """One line for each missing program: how many tests could not run without it."""
    lost = Counter(_reason(report) for report in terminalreporter.getreports("skipped"))
    for reason, count in sorted(lost.items()):
        if reason.startswith(MISSING):
            tests = "1 test" if count == 1 else f"{count} tests"
            terminalreporter.write_line(f"{reason} ({tests} skipped)", yellow=True)


def _failure(report: Any) -> str:
    """The message of the exception, or the last words of whatever there is, in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    line = " ".join((crash.message if crash else str(report.longrepr)[-_LONGEST:]).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _reason(report: pytest.TestReport) -> str:
    """The reason of a skip: pytest keeps (file, line, "Skipped: reason")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
