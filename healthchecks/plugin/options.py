"""The plugin's options and its mark, and whether the command line asks for a part of the checks."""

from typing import TYPE_CHECKING

import pytest

from healthchecks.plugin import collection

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.loader import Configuration

MARK = (
    "healthcheck(timeout, slow, failure_threshold, success_threshold, retries, needs, group, maintenance, local): "
    "a test that is a health check"
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
        "--monitoring-schema",
        action="store_true",
        help="print a JSON schema of the configuration file, for editors, and exit",
    )
    group.addoption(
        "--monitoring-param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a parameter of database reports, in place of their own value",
    )


def print_and_exit(config: pytest.Config) -> int | None:
    """Return the exit status where an option asks for something else than a run; None for a run."""
    if config.getoption("monitoring_schema"):
        from healthchecks.plugin.commands import print_schema

        return print_schema(config)
    if file := config.getoption("monitoring_export"):
        from healthchecks.plugin.commands import export_history

        return export_history(config, file)
    return None


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
    could not be collected, of which an error tells.
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
