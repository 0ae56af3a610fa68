"""The pytest plugin: the story of a run, its hooks in the order in which pytest calls them.

In a test run without health checks it does nothing: no output, no files, no import but this one.
"""

import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from healthchecks.plugin import check_files, collection
from healthchecks.plugin.options import MARK, add_options, print_and_exit

if TYPE_CHECKING:
    from healthchecks.plugin.run import Run


@pytest.fixture(scope="session")
def state_directory(pytestconfig: pytest.Config) -> Path:
    """Return, for checks, `[state] directory`, where the watchdog keeps its state, too."""
    from healthchecks.plugin.run import configuration_of
    from servermonitoring import state_directory as state

    return state.location(configuration_of(pytestconfig).state_directory)


@pytest.fixture(scope="session")
def alert_channels(pytestconfig: pytest.Config, state_directory: Path) -> list[str]:
    """Return, for checks, the names of the configured channels' spools; also with --monitoring-no-alerts."""
    from healthchecks.plugin.alerting.channels import spools_of_configured
    from healthchecks.plugin.run import configuration_of

    return spools_of_configured(configuration_of(pytestconfig).settings, state_directory)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest captures output, and loads files of users
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    from healthchecks.plugin import surroundings

    surroundings.secure_streams()
    surroundings.secure_capture(early_config)
    if "SERVERMONITORING_COMPLETION" in os.environ:
        from servermonitoring.scheduled_run.process import claim_pipe

        claim_pipe()
    return (yield)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from healthchecks.plugin import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    config.pluginmanager.register(check_files.FailedFiles(), check_files.FAILED)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    status = print_and_exit(config)
    if status is None and config.getoption("monitoring_silence"):
        from healthchecks.plugin.silence_command import run_command

        return run_command(config)
    return status


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect checks without the garbage collector: what they import stays, and it takes a twentieth of a small run."""
    if not check_files.are_all_named(session.config):
        return (yield)
    collects = gc.isenabled()
    gc.disable()
    try:
        check_files.add_own(session.config)
        return (yield)
    finally:
        if collects:
            gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return (yield from check_files.collect_report(collector))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if collection.asks_for_targets(metafunc):
        from healthchecks.plugin.run import configuration_of

        collection.parametrize(metafunc, configuration_of(metafunc.config))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Give names before any test is deselected; the order is what others leave of it."""
    if any(collection.is_check(item) for item in items):
        items[:] = collection.without_unasked(items)
        from healthchecks.plugin.check_names import give_names

        give_names(items)
    yield
    if any(collection.is_check(item) for item in items):
        items[:] = collection.in_order_of_need(items)
        collection.share_locations(items)


@pytest.hookimpl(tryfirst=True)  # before the terminal asks for the header of the run
def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave a worker of pytest-xdist, which alone collects, and have `pytest_testnodedown` say why."""
    if any(collection.is_check(item) for item in session.items) or check_files.are_broken(session):
        from healthchecks.plugin.refusal import leave_worker
        from healthchecks.plugin.startup import prepare

        leave_worker(session.config)
        prepare(session)
    elif "healthchecks.plugin.surroundings" in sys.modules:
        sys.modules["healthchecks.plugin.surroundings"].insist()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Say why a worker of pytest-xdist has ended; called in the controller."""
    if refusal := getattr(node, "workeroutput", {}).get(collection.REFUSAL):
        raise pytest.UsageError(refusal)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    if run := _prepared(config):
        from healthchecks.plugin.terminal import format_header

        return format_header(run)
    return []


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Run the checks: no hook of collection is left that could refuse; options that only show something end before."""
    if run := _prepared(session.config):
        from healthchecks.plugin.startup import begin

        begin(session, run)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if _run_of(item):
        from healthchecks.plugin.protocol import PROTOCOL

        return item.config.stash[PROTOCOL].execute(item, nextitem)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _run(item.config) is not None and (problem := item.stash.get(collection.PROBLEM, "")):
        from healthchecks.plugin.result import CheckError

        raise CheckError(problem)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    if run := _run_of(item):
        from healthchecks.plugin.runtest import prepare

        prepare(item, run)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if run := _run_of(pyfuncitem):
        from healthchecks.plugin.runtest import run_test

        run_test(pyfuncitem, run)
        return True
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    run = _run(item.config)
    if run is None:
        return (yield)
    from healthchecks.plugin.makereport import make_report

    return (yield from make_report(item, call, run))


def pytest_runtest_logreport(report: Any) -> None:
    """Record what is reported: a failure that is retried, here or by pytest-rerunfailures, is no result."""
    keep = getattr(report, "keep", None)
    if keep is not None and report.outcome != "rerun":
        keep()


@pytest.hookimpl(tryfirst=True, optionalhook=True)  # before hooks of the user add cells
def pytest_html_results_table_row(report: Any, cells: list[str]) -> None:
    if "healthchecks.plugin.html_report" in sys.modules:  # loaded for a page of ours, never by other tests
        from healthchecks.plugin.html_report import format_cells

        format_cells(cells, report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> Generator[None, object, object]:
    """Keep, show and alert everything, outermost: before any hook of others may hang or end the process."""
    run = _run(session.config)
    if run is None:
        return (yield)
    from healthchecks.plugin.outputs import scrub_outputs
    from healthchecks.plugin.shutdown import conclude, finish, spare_collector

    finish(run, exitstatus)
    spare_collector(run)
    try:
        scrub_outputs(session.config)
        return (yield)
    finally:
        conclude(run)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, object, object]:
    """Show the summary last, so that faults of other plugins' summaries are in it."""
    result = yield
    if run := _run(config):
        from healthchecks.plugin.shutdown import conclude
        from healthchecks.plugin.terminal import print_summary

        conclude(run)
        print_summary(run, terminalreporter)
    return result


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if run := _run(config):
        from healthchecks.plugin.process_exit import leave
        from healthchecks.plugin.shutdown import settle

        leave(settle(run))


def _run_of(item: pytest.Item) -> "Run | None":
    """Return the run that a check belongs to; None for other tests."""
    run = _run(item.config)
    return run if run is not None and collection.is_check(item) else None


def _run(config: pytest.Config) -> "Run | None":
    run = _prepared(config)
    return run if run is not None and run.has_begun else None


def _prepared(config: pytest.Config) -> "Run | None":
    module = sys.modules.get("healthchecks.plugin.run")  # loaded by the first check, never by other tests
    return config.stash.get(module.RUN, None) if module else None
