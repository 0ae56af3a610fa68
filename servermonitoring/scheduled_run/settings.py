"""Alert settings of the configuration file, read also where the file is wrong elsewhere."""

import re
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from servermonitoring import configuration
from servermonitoring import state_directory as state
from servermonitoring.configuration import ConfigurationError
from servermonitoring.files import read_regular
from servermonitoring.secret import Secret
from servermonitoring.sentry import dsn

_TABLES = ("sentry", "alerts", "state")
_LARGEST = 1_000_000  # bytes that are read of a file that is not TOML


class DirectAlertSettings:
    """`[sentry]`, `[alerts]` and `[state]`, as far as they can be read. A wrong file raises nothing."""

    def __init__(self) -> None:
        self.path = configuration.find()
        self._tables = _read(self.path) if self.path else {}

    @property
    def dsn(self) -> str:
        """The DSN of the suite, or "". Raises ValueError for a secret file that cannot be read."""
        return dsn.in_force(dsn.HEALTHCHECKS, lambda: self._secret("sentry", "dsn"))

    @property
    def webhook(self) -> str:
        """The URL, or "". Raises ValueError for a secret file that cannot be read."""
        return self._secret("alerts", "webhook")

    @property
    def environment(self) -> str:
        return self._text("sentry", "environment")

    @property
    def state_directory(self) -> Path:
        return state.location(self._text("state", "directory"))

    def _text(self, table: str, key: str) -> str:
        keys = self._tables.get(table)
        value = keys.get(key) if isinstance(keys, dict) else None
        return value if isinstance(value, str) else ""

    def _secret(self, table: str, key: str) -> str:
        text = self._text(table, key)
        return Secret.load(text).reveal() if text else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        return configuration.read(path)[0]
    except ConfigurationError:
        return configuration.expanded(_rescued(path))[0]


def _rescued(path: Path) -> dict[str, Any]:
    """Return the tables that can be read one by one from a file that is not TOML as a whole."""
    try:
        text = read_regular(path, _LARGEST, part="start").decode("utf-8-sig", errors="replace")
    except OSError:
        return {}
    found: dict[str, Any] = {}
    for part in re.split(r"^(?=\[)", text, flags=re.MULTILINE):
        with suppress(ValueError, RecursionError):
            found |= {name: keys for name, keys in tomllib.loads(part).items() if name not in found}
    return {name: keys for name, keys in found.items() if name in _TABLES}
