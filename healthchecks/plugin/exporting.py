"""`pytest healthchecks --monitoring-export FILE`: writes the history and checks nothing."""

import sqlite3
from pathlib import Path

import pytest

from healthchecks.plugin.run import configuration_of
from healthchecks.plugin.sinks.history.export import export
from servermonitoring import state_directory


def export_history(config: pytest.Config, file: str) -> int:
    """The exit status: 0. Raises pytest.UsageError that says what is wrong."""
    directory = state_directory.location(configuration_of(config).state_directory)
    try:
        count = export(directory, config.invocation_params.dir / Path(file).expanduser())
    except (OSError, ValueError, sqlite3.Error) as error:
        raise pytest.UsageError(f"--monitoring-export: {error}") from None
    print(f"{count} result{'s' if count != 1 else ''} written to {file}")  # noqa: T201 - what was asked for
    return 0
