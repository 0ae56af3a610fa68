"""The plugin's options and its mark, and whether the command line asks for a part of the checks.

Three options ask for something else than a run: the schema of the configuration, an export of the history, a test
alert.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from healthchecks.plugin import check_files, collection

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.loader import Configuration

MARK = (
    "healthcheck(timeout, slow, failure_threshold, success_threshold, retries, needs, group, maintenance, severity, "
    "runbook, local): a test that is a health check"
)


def add_options(parser: pytest.Parser) -> None:
    """Add them to pytest's."""
    group = parser.getgroup("health checks")
    group.addoption("--monitoring-config", metavar="FILE", help="the configuration file, servermonitoring.toml")
    group.addoption(
        "--monitoring-no-alerts",
        action="store_true",
        help="send no alerts and no check-in, and remember none as sent: a run by hand",
    )
    group.addoption(
        "--monitoring-export",
        metavar="FILE",
        help="write all results of the history to FILE (.csv or .jsonl), and exit",
    )
    group.addoption(
        "--monitoring-silence",
        action="append",
        metavar="NAME=DURATION",
        help="send no alerts of a target, a kind or a check for a while (website.home=4h), and exit; NAME=0 ends that,"
        ' "list" shows what is silenced',
    )
    group.addoption(
        "--monitoring-reason", metavar="TEXT", help="why --monitoring-silence is given: shown on page and terminal"
    )
    group.addoption(
        "--monitoring-test-alert",
        action="store_true",
        help="send a test alert to each channel, print what each answered, and exit: with 0 if all accepted it",
    )
    group.addoption(
        "--monitoring-schema",
        action="store_true",
        help="print a JSON schema of the configuration file, for editors, and exit",
    )


def print_and_exit(config: pytest.Config) -> int | None:
    """Return the exit status where an option asks for something else than a run; None for a run."""
    if config.getoption("monitoring_schema"):
        return _print_schema(config)
    if config.getoption("monitoring_test_alert"):
        return _send_test_alert(config)
    if file := config.getoption("monitoring_export"):
        return _export_history(config, file)
    if config.getoption("monitoring_reason") and not config.getoption("monitoring_silence"):
        raise pytest.UsageError("--monitoring-reason is the reason of --monitoring-silence, which is not given")
    return None


def _print_schema(config: pytest.Config) -> int:
    """Write it to standard output; kinds in files that the command line or `[run] checks` names are in it, too."""
    import json

    from healthchecks.plugin.configuration.loader import built_in_kinds, schema

    for kind in built_in_kinds():
        importlib.import_module(f"healthchecks.test_{kind}")
    named = [config.invocation_params.dir / argument.split("::")[0] for argument in config.args]
    for path in [*named, *check_files.places(config)]:
        _load(path)
    print(json.dumps(schema(), indent=2))  # noqa: T201 - what was asked for
    return 0


def _load(path: Path) -> None:
    files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
    for file in files:
        known = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        if file.is_file() and str(file.resolve()) not in known:
            spec = importlib.util.spec_from_file_location(file.stem, file)
            if spec and spec.loader:
                module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)


def _export_history(config: pytest.Config, file: str) -> int:
    """Return the exit status, 0. Raise pytest.UsageError that says what is wrong."""
    import sqlite3

    from healthchecks.plugin.history.export import export
    from healthchecks.plugin.run import configuration_of
    from servermonitoring import state_directory
    from servermonitoring.values import counted

    directory = state_directory.location(configuration_of(config).state_directory)
    try:
        count = export(directory, config.invocation_params.dir / Path(file).expanduser())
    except (OSError, ValueError, sqlite3.Error) as error:
        raise pytest.UsageError(f"--monitoring-export: {error}") from None
    print(f"{counted(count, 'result')} written to {file}")  # noqa: T201 - what was asked for
    return 0


def _send_test_alert(config: pytest.Config) -> int:
    """Return the exit status: 0 if all channels accepted it, else 1. Raise pytest.UsageError where none can."""
    from healthchecks.plugin.alerting.trial import try_channels
    from healthchecks.plugin.run import configuration_of
    from servermonitoring.configuration import ConfigurationError

    configuration = configuration_of(config)
    try:
        configuration.check_settings()
        return 0 if try_channels(configuration.settings, print) else 1
    except (ConfigurationError, ValueError) as error:
        raise pytest.UsageError(f"--monitoring-test-alert: {error}") from None


_OPTIONS = {
    "keyword": "-k", "markexpr": "-m", "deselect": "--deselect", "lf": "--lf", "stepwise": "--stepwise",
    "maxfail": "-x", "monitoring_param": "--monitoring-param",
}  # fmt: skip
_FILES = "single files are named"


def part(session: pytest.Session) -> str:
    """Return by what the command line chose a part of the tests; empty if it did not."""
    config = session.config
    for name, option in _OPTIONS.items():
        if config.getoption(name, None):
            return option
    if any("::" in argument for argument in config.args):
        return "single tests are named"
    folders = any(path.is_dir() for path in session._initialpaths)  # noqa: SLF001 - pytest has no public way
    return "" if folders else _FILES


def missing_part(session: pytest.Session, configuration: "Configuration", broken: set[str]) -> str:
    """Return why this run is not whole; empty if it is.

    Files that together have every table of the configuration are as good as a folder. `broken`: kinds whose file
    could not be collected, which is an error of its own.
    """
    chosen = part(session)
    if chosen not in ("", _FILES):
        return chosen
    found = [item for item in session.items if collection.is_check(item)]
    if all(isinstance(item, collection.CheckItem) for item in found):
        return chosen
    kinds = {target.kind() for item in found if (target := collection.target_of(item))}
    tables = configuration.target_tables() - broken
    absent = sorted(tables - kinds)
    return f"[{absent[0]}] is not in it" if absent else "" if tables else chosen
