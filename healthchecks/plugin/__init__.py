"""The pytest plugin: the story of a run, its hooks in the order in which pytest calls them.

In a test run without health checks it does nothing: no output, no files, no import but this one.
"""

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from healthchecks.plugin import check_files, checks

if TYPE_CHECKING:
    from healthchecks.plugin.run import Run


@pytest.fixture(scope="session")
def state_directory(pytestconfig: pytest.Config) -> Path:
    """For checks: `[state] directory`, where the watchdog keeps its state, too."""
    from healthchecks.plugin.run import RUN

    return pytestconfig.stash[RUN].directory


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("health checks")
    group.addoption("--monitoring-config", metavar="FILE", help="the configuration file, servermonitoring.toml")
    group.addoption(
        "--no-alerts",
        action="store_true",
        help="send no alerts and no check-in, and remember none as sent: a run by hand",
    )
    group.addoption(
        "--history-export", metavar="FILE", help="write all results of the history to FILE (.csv or .jsonl), and exit"
    )
    group.addoption(
        "--monitoring-schema",
        action="store_true",
        help="print a JSON schema of the configuration file, for editors, and exit",
    )

    group.addoption(
        "--report-param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a parameter of database reports, in place of their own value",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "healthcheck(deadline, slow, after, retries, needs, group, maintenance, local): a test that is a health check",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if config.getoption("monitoring_schema"):
        from healthchecks.plugin.schema import print_schema

        return print_schema(config)
    if file := config.getoption("history_export"):
        from healthchecks.plugin.exporting import export_history

        return export_history(config, file)
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Every worker would measure everything; xdist's controller collects nothing, so the files are looked at."""
    if checks.are_in_files(config.invocation_params.dir / argument.split("::")[0] for argument in config.args):
        raise pytest.UsageError("health checks are measured side by side already: run them without -n")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    if check_files.are_all_named(session.config):
        from healthchecks.plugin.own_checks import add

        add(session.config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Database reports: .sql files in a folder `reports` that have a title; others are none of our business."""
    if file_path.suffix != ".sql":
        return None
    if checks.is_report(file_path) or parent.session.isinitpath(file_path):
        from healthchecks.plugin.sql.collecting import ReportFile

        return ReportFile.from_parent(parent, path=file_path)
    if checks.REPORTS in file_path.parent.parts:
        parent.config.stash.setdefault(checks.UNTITLED, []).append(file_path)
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """sys.exit() at the import of one file would end all."""
    try:
        return (yield)
    except SystemExit as error:
        if not isinstance(collector, pytest.Module) or not checks.is_mentioned_in(collector.path):
            raise
        return checks.report_of_exit(collector, error)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if checks.asks_for_targets(metafunc):
        from healthchecks.plugin.run import configuration_of

        checks.parametrize(metafunc, configuration_of(metafunc.config))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Names are given before any test is deselected; the order is what others leave of it."""
    if any(checks.is_check(item) for item in items):
        checks.give_names(items)
    yield
    if any(checks.is_check(item) for item in items):
        items[:] = checks.in_order_of_need(items)


@pytest.hookimpl(tryfirst=True)  # before the terminal asks for the header of the run
def pytest_collection_finish(session: pytest.Session) -> None:
    if any(checks.is_check(item) for item in session.items) or check_files.are_broken(session):
        from healthchecks.plugin.starting import start

        start(session)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    run = _run(config)
    if run is None:
        return []
    from healthchecks.plugin.starting import header

    return header(run)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    run = _run(item.config)
    if run is None or not checks.is_check(item):
        return None
    from healthchecks.plugin.retrying import run_with_retries

    return run_with_retries(item, nextitem, run)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _run(item.config) is not None and (problem := item.stash.get(checks.PROBLEM, "")):
        from healthchecks.plugin.result import Broken

        raise Broken(problem)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    run = _run(item.config)
    if run is not None and checks.is_check(item):
        from healthchecks.plugin.judging import prepare

        prepare(item, run)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    run = _run(pyfuncitem.config)
    if run is None or not checks.is_check(pyfuncitem):
        return None
    from healthchecks.plugin.judging import judge

    judge(pyfuncitem, run)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    run = _run(item.config)
    if run is None:
        return (yield)
    from healthchecks.plugin.faults import is_beside_checks
    from healthchecks.plugin.recording import record, spare_traceback

    beside = is_beside_checks(item, run)
    if not beside and not checks.is_check(item):
        return (yield)
    spare_traceback(call)
    report = yield
    record(item, call, report, run)
    if beside and not report.failed:
        vars(report).pop("keep", None)
    return report


def pytest_runtest_logreport(report: Any) -> None:
    """Only what is reported is a result: a failure that is retried is not."""
    keep = getattr(report, "keep", None)
    if keep is not None:
        keep()


@pytest.hookimpl(tryfirst=True, optionalhook=True)  # before hooks of the user add cells
def pytest_html_results_table_row(report: Any, cells: list[str]) -> None:
    if "healthchecks.plugin.page" in sys.modules:  # loaded for a page of ours, never by other tests
        from healthchecks.plugin.page import mend_cells

        mend_cells(cells, report)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> Generator[None, None, None]:
    """Innermost, so that pytest-html has written its page, and the terminal's summary is still to come."""
    yield
    run = _run(session.config)
    if run is not None:
        from healthchecks.plugin.finishing import finish

        finish(run, exitstatus)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    run = _run(config)
    if run is not None:
        from healthchecks.plugin.finishing import summarize

        summarize(run, terminalreporter)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    session: Any = config.pluginmanager.get_plugin("session")
    if session is not None and _run(config) is not None:
        from healthchecks.plugin.leaving import leave

        leave(session.exitstatus)


def _run(config: pytest.Config) -> "Run | None":
    module = sys.modules.get("healthchecks.plugin.run")  # loaded by the first check, never by other tests
    return config.stash.get(module.RUN, None) if module else None
