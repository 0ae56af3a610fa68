"""Whether a run is whole, or a part that somebody chose: only a whole one can say that the checks are run."""

import pytest

from healthchecks.plugin import checks
from healthchecks.plugin.configuration import Configuration

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


def missing_part(session: pytest.Session, configuration: Configuration, broken: set[str]) -> str:
    """Return why this run is not whole; empty if it is.

    Files that together have every table of the configuration are as good as a folder. `broken`: kinds whose file
    could not be collected, of which an error tells.
    """
    chosen = part(session)
    if chosen not in ("", _FILES):
        return chosen
    found = [item for item in session.items if checks.is_check(item)]
    if all(isinstance(item, checks.CheckItem) for item in found):
        return chosen
    kinds = {target.kind() for item in found if (target := checks.target_of(item))}
    tables = configuration.target_tables() - broken
    absent = sorted(tables - kinds)
    return f"[{absent[0]}] is not in it" if absent else "" if tables else chosen
