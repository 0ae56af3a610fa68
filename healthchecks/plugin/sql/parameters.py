"""`--monitoring-param NAME=VALUE`: for one run, in place of the value that a report has by itself."""

from collections.abc import Iterable

import pytest

from healthchecks.plugin import checks
from servermonitoring.configuration import echo, nearest

OPTION = "monitoring_param"


def given_parameters(config: pytest.Config) -> dict[str, str]:
    """By name. Raises pytest.UsageError for one that is not NAME=VALUE."""
    given = {}
    for text in config.getoption(OPTION):
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise pytest.UsageError(f"--monitoring-param {echo(text)}: write NAME=VALUE")
        given[name.strip()] = value
    return given


def unknown_parameters(config: pytest.Config, items: Iterable[checks.CheckItem]) -> list[str]:
    """What is wrong with the given ones that none of the selected reports has."""
    known = {name for item in items for name in getattr(item.target, "parameters", ())}
    unknown = [name for name in given_parameters(config) if name not in known]
    return [f"--monitoring-param: no report has a parameter {name}{nearest(name, known)}" for name in unknown]
