"""The start of a run: it is created, unless it is refused, then every probe is started at once."""

import gc
from functools import partial
from typing import Any

import pytest

from healthchecks.plugin import check_files, collection, collection_errors, logs, options
from healthchecks.plugin.alerting.channels import AlertInputs, connect
from healthchecks.plugin.check_names import check_name, name_notices
from healthchecks.plugin.configuration.target import Target
from healthchecks.plugin.html_report import Page
from healthchecks.plugin.outputs import WarningText
from healthchecks.plugin.probes.context import PastMetrics
from healthchecks.plugin.probes.fixture import POOL, Probe
from healthchecks.plugin.process_exit import interrupt_when_late
from healthchecks.plugin.protocol import PROTOCOL, Protocol
from healthchecks.plugin.refusal import (
    refuse_foreign_directories,
    refuse_mistakes,
    refuse_optimized,
    refuse_plugins,
)
from healthchecks.plugin.run import RUN, Run, Selection, configuration_of
from healthchecks.plugin.stage import bound_phases
from healthchecks.plugin.suite_errors import PYTEST, InternalErrors, contain
from healthchecks.plugin.surroundings import keep_streams
from healthchecks.plugin.terminal import format_header, format_report
from servermonitoring.configuration import nearest
from servermonitoring.state_directory import ALREADY_RUNNING, AlreadyRunningError


def prepare(session: pytest.Session) -> None:
    """Create the run. Raise pytest.UsageError for what cannot run; nothing is contacted or written yet."""
    refuse_optimized()
    gc.freeze()  # these objects stay: pytest collects garbage twice when it ends
    config = session.config
    refuse_plugins(config)
    configuration = configuration_of(config)
    broken = _kinds_of_broken_files(session)
    passed_over = refuse_mistakes(session, configuration, broken | check_files.kinds_in(check_files.places(config)))
    if _only_shows(config):
        return
    found = [item for item in session.items if collection.is_check(item)]
    selection = Selection(
        items=[each for each in found if not collection.kind_is_absent(each)],
        part=options.missing_part(session, configuration, broken),
        of_reports=bool(found) and all(isinstance(item, collection.CheckItem) for item in found),
        folders=collection_errors.folders(found),
        faultless=collection_errors.keys(session),
    )
    run = Run(configuration, session, selection)
    refuse_foreign_directories(run, config)
    config.stash[RUN] = run
    run.read_silences()
    run.notices += [
        *passed_over,
        *_idle_windows(found, run),
        *_unknown_groups(found, run),
        *name_notices(session),
        *collection_errors.hints(session, run),
    ]
    if not config.getoption("monitoring_no_alerts"):
        _connect(run)


def begin(session: pytest.Session, run: Run) -> None:
    """Start every probe, when no plugin can refuse the run any more. Exit with 6 if another run is alive."""
    config = session.config
    run.interruption.own()
    config.add_cleanup(run.interruption.release)
    _lock(run)
    run.has_begun = True
    config.stash[POOL] = run.pool
    PastMetrics.directory = run.directory
    config.add_cleanup(PastMetrics.forget)
    _start_workers(session, run)
    _set_options(session)
    keep_streams(config)
    run.interruption.repeat_missed()
    run.late_timer = interrupt_when_late(run)
    run.outputs.log = logs.divert(config)
    bound_phases(session, run.stage)
    if run.outputs.dispatcher:
        run.outputs.dispatcher.begin()
    collection_errors.record(session, run)
    _begin_page(session, run)
    config.stash[PROTOCOL] = Protocol(run)
    _begin_hooks(config, run)
    _start_probes(session, run)
    run.interruption.check()


def _connect(run: Run) -> None:
    """Set up where this run's alerts go."""
    settings = run.configuration.settings
    of_reports, part = run.selection.of_reports, run.selection.part
    inputs = AlertInputs(
        settings,
        run.host,
        run.directory,
        run.started,
        of_reports=of_reports,
        part=part,
        report=partial(format_report, run),
    )
    on_error = partial(run.add_suite_error, "alerts")
    connections = connect(inputs, on_error)
    run.outputs.alerts = str(connections)
    if connections.channels or connections.heartbeats:
        from healthchecks.plugin.alerting.dispatcher import Dispatcher

        run.outputs.dispatcher = Dispatcher(inputs, connections, on_error)


def _only_shows(config: pytest.Config) -> bool:
    """Return whether there is no run: pytest only shows what it would run, or its checks are silenced by name."""
    options_of_no_run = ("collectonly", "setuponly", "setupplan", "monitoring_silence")
    return any(config.getoption(name, False) for name in options_of_no_run)


def _kinds_of_broken_files(session: pytest.Session) -> set[str]:
    return check_files.kinds_in(session.config.rootpath / each.nodeid for each in check_files.broken_files(session))


def _idle_windows(found: list[pytest.Item], run: Run) -> list[str]:
    """Return notices about maintenance patterns that match nothing, perhaps mistyped: only a whole run knows."""
    if run.selection.part or run.selection.of_reports:
        return []
    known = {each.reference for targets in run.configuration.kinds().values() for each in targets}
    known |= {check_name(item) for item in found}
    return [
        f'[maintenance.{name}] checks: "{pattern}" matches no target'
        for name, window in run.configuration.settings.maintenance.items()
        for pattern in window.idle_patterns(known)
    ]


def _unknown_groups(found: list[pytest.Item], run: Run) -> list[str]:
    """Return notices about groups in `only` of which no check is, perhaps mistyped: only a whole run knows."""
    settings = run.configuration.settings
    filters = [settings.sentry.only, settings.alerts.webhook_only, *(each.only for each in settings.alerts.notify)]
    named = {group for each in filters for group in each.groups}
    if not named or run.selection.part or run.selection.of_reports:
        return []
    known = {target.group for item in found if (target := collection.target_of(item))}
    return [f'only: no check is in the group "{each}"{nearest(each, known - {""})}' for each in sorted(named - known)]


def _lock(run: Run) -> None:
    try:
        run.take_lock()
    except AlreadyRunningError as error:
        pytest.exit(str(error), returncode=ALREADY_RUNNING)


def _set_options(session: pytest.Session) -> None:
    """Let one broken file hide no other, and list a failed check once, without its traceback."""
    option: Any = session.config.option
    option.continue_on_collection_errors = True
    if all(collection.is_check(item) for item in session.items):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if option.tbstyle == "auto":
            option.tbstyle = "no"
        if reporter is not None and option.reportchars == "fE":  # pytest's default
            reporter.reportchars = ""


def _begin_page(session: pytest.Session, run: Run) -> None:
    try:
        page = Page(session.config, run.page_directory)
        environment = dict(line.split(": ", 1) for line in format_header(run))
        page.begin(session, {"host": run.host, **environment}, check_files.broken_files(session))
    except OSError as error:
        run.add_suite_error("page", f"no page: {error}")
        return
    run.outputs.page = page


def _begin_hooks(config: pytest.Config, run: Run) -> None:
    for plugin in (InternalErrors(run), WarningText(), run.interruption):
        config.pluginmanager.register(plugin)
    contain(config, run.interruption, partial(run.add_suite_error, PYTEST))


def _start_workers(session: pytest.Session, run: Run) -> None:
    """Fork the processes of the probes, before this one has threads."""
    for item in session.items:
        if collection.is_check(item) and collection.PROBLEM not in item.stash:
            for probe in collection.probes_of(item):
                if isinstance(target := _parameter(item, probe), Target):
                    run.pool.plan(probe, target)
    run.pool.start(session.items, logs.level(session.config))


def _start_probes(session: pytest.Session, run: Run) -> None:
    """Start each probe that a selected test needs; a skipped test contacts nothing."""
    for item in session.items:
        skipped = item.get_closest_marker("skip") or item.get_closest_marker("skipif")
        if collection.is_check(item) and not skipped and collection.PROBLEM not in item.stash:
            for probe in collection.probes_of(item):
                run.pool.submit(probe, _parameter(item, probe))


def _parameter(item: pytest.Item, probe: Probe) -> Target:
    if isinstance(item, collection.CheckItem):
        return item.target
    target: Target = item.callspec.params[probe.parameter]  # type: ignore[attr-defined]
    return target
