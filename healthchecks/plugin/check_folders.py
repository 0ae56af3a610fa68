"""Folders with checks of the user's own, which `[run] checks` names: `pytest healthchecks` collects them, too."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from healthchecks.plugin.run import configuration_of

MISSING = pytest.StashKey[list[Path]]()  # what `[run] checks` names and is not there
_CLASS = re.compile(r"^[ \t]*class[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_LARGEST = 1_000_000  # characters of a file that are looked through


def places(config: pytest.Config) -> list[Path]:
    """Return what `[run] checks` names: relative to the configuration file."""
    configuration = configuration_of(config)
    return [configuration.relative_to_file(text) for text in configuration.settings.run.checks]


def add(config: pytest.Config) -> None:
    """Have pytest collect them as if the command line named them; what is missing is kept for an error of its own."""
    there = [each for each in places(config) if each.exists()]
    config.stash[MISSING] = [each for each in places(config) if each not in there]
    named = {(config.invocation_params.dir / each).resolve() for each in config.args}
    config.args += [str(each) for each in there if each.resolve() not in named]


def kinds_in(paths: Iterable[Path]) -> set[str]:
    """Return the kinds that may be defined in these files and folders, by their text: they need not be importable."""
    files = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]) if file.is_file()]
    return {name.lower() for file in files for name in _CLASS.findall(_text(file))}


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_LARGEST)
    except OSError:
        return ""
