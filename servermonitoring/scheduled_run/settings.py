"""Settings of the scheduled command's own alerts, read also where the configuration file is wrong elsewhere."""

import contextlib
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring import configuration, state_directory
from servermonitoring.configuration import ConfigurationError
from servermonitoring.delivery import notify_url
from servermonitoring.delivery.alert_filter import AlertFilter
from servermonitoring.delivery.dsn import HEALTHCHECKS, in_force
from servermonitoring.delivery.notify_url import NotifyUrl
from servermonitoring.delivery.text import WebhookFormat
from servermonitoring.files import read_regular
from servermonitoring.secret import Secret

if TYPE_CHECKING:
    from servermonitoring.delivery.heartbeat import PingService

_TABLES = ("sentry", "alerts", "heartbeat", "state", "dashboard")
_MOST_READ = 1_000_000  # bytes that are read of a file that is not TOML


class DirectAlertSettings:
    """`[sentry]`, `[alerts]`, `[heartbeat]`, `[state]`, `[dashboard]`, as far as they can be read.

    A wrong file raises nothing.
    """

    def __init__(self) -> None:
        self.path = configuration.find()
        self._tables = _read_tables(self.path) if self.path else {}

    @property
    def dsn(self) -> str:
        """The DSN of the suite, or "". Raises ValueError for a secret file that cannot be read."""
        return in_force(HEALTHCHECKS, lambda: self._secret("sentry", "dsn"))

    @property
    def webhook(self) -> str:
        """The URL, or "". Raises ValueError for a secret file that cannot be read."""
        return self._secret("alerts", "webhook")

    @property
    def webhook_format(self) -> WebhookFormat:
        return "slack" if self._text("alerts", "webhook_format") == "slack" else "json"

    @property
    def notify(self) -> tuple[list[NotifyUrl], list[str]]:
        """The URLs of services, and what is wrong with others."""
        alerts = self._tables.get("alerts")
        return notify_url.read(alerts.get("notify", []) if isinstance(alerts, dict) else [], self.path)

    @property
    def sentry_only(self) -> AlertFilter:
        return self._filter("sentry", "only")

    @property
    def webhook_only(self) -> AlertFilter:
        return self._filter("alerts", "webhook_only")

    def heartbeat(self, key: str) -> "PingService | None":
        """Return the service of `[heartbeat]` with the URL of this key.

        Raise ValueError for a wrong URL, or a secret file that cannot be read.
        """
        from servermonitoring.delivery.heartbeat import PingFormat, PingService

        if not (url := self._secret("heartbeat", key)):
            return None
        name = self._text("heartbeat", "format")
        return PingService(url, PingFormat(name) if name in [*PingFormat] else PingFormat.of_url(url))

    @property
    def environment(self) -> str:
        return self._text("sentry", "environment")

    @property
    def page(self) -> str:
        """The URL of the page, or ""."""
        return self._text("dashboard", "url")

    @property
    def state_directory(self) -> Path:
        text = self._text("state", "directory")
        return state_directory.location(str(configuration.relative_to_file(self.path, text)) if text else None)

    def _filter(self, table: str, key: str) -> AlertFilter:
        """Return what a channel takes: all, if the words are wrong."""
        keys = self._tables.get(table)
        try:
            return AlertFilter.parse(keys[key]) if isinstance(keys, dict) and key in keys else AlertFilter()
        except ValueError:
            return AlertFilter()

    def _text(self, table: str, key: str) -> str:
        keys = self._tables.get(table)
        value = keys.get(key) if isinstance(keys, dict) else None
        return value if isinstance(value, str) else ""

    def _secret(self, table: str, key: str) -> str:
        text = self._text(table, key)
        return Secret.load(text, self.path).reveal() if text else ""


def _read_tables(path: Path) -> dict[str, Any]:
    try:
        return configuration.read(path)[0]
    except ConfigurationError:
        return configuration.with_additional_files(path, _rescued(path))[0]


def _rescued(path: Path) -> dict[str, Any]:
    """Return the tables that can be read one by one from a file that is not TOML as a whole."""
    try:
        text = read_regular(path, _MOST_READ, part="start").decode("utf-8-sig", errors="replace")
    except OSError:
        return {}
    found: dict[str, Any] = {}
    for part in re.split(r"^(?=\[)", text, flags=re.MULTILINE):
        with contextlib.suppress(ValueError, RecursionError):
            found |= {name: keys for name, keys in tomllib.loads(part).items() if name not in found}
    return {name: keys for name, keys in found.items() if name in _TABLES}
