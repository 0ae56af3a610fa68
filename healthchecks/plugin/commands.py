"""Options that ask for something else than a run: the schema of the configuration, an export of the history."""

import importlib.util
import json
import sqlite3
import sys
from pathlib import Path

import pytest

from healthchecks.plugin.check_folders import places
from healthchecks.plugin.configuration.loader import built_in_kinds, schema
from healthchecks.plugin.history.export import export
from healthchecks.plugin.run import configuration_of
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


def print_schema(config: pytest.Config) -> int:
    """Write it to standard output; kinds in files that the command line or `[run] checks` names are in it, too."""
    for kind in built_in_kinds():
        importlib.import_module(f"healthchecks.test_{kind}")
    named = [config.invocation_params.dir / argument.split("::")[0] for argument in config.args]
    for path in [*named, *places(config)]:
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
