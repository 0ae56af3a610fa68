"""The plugin's options and its mark, as `pytest --help` and `pytest --markers` show them."""

import pytest

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
        from healthchecks.plugin.schema import print_schema

        return print_schema(config)
    if file := config.getoption("monitoring_export"):
        from healthchecks.plugin.exporting import export_history

        return export_history(config, file)
    return None
