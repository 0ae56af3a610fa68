"""What the reader hands over to `watchdog watch`: options, settings, and what is to be scrubbed, as JSON in a pipe.

It holds secrets in clear text, for that pipe and for nothing else.
"""

import json
from pathlib import Path
from typing import NamedTuple

from servermonitoring import __version__, scrubbing
from watchdog.policy import DEFAULT, Rule

LONGEST_READ = 60.0  # seconds; a machine short of memory starts a program slowly
VARIABLE = "WATCHDOG_SENTRY_DSN"


class AlertDestination(NamedTuple):
    """Where alerts go. A problem is logged, and the watchdog goes on without alerts."""

    dsn: str = ""
    environment: str = "production"
    problem: str = ""

    def __repr__(self) -> str:
        return f"AlertDestination(environment={self.environment!r}, problem={self.problem!r})"


class WatchdogSettings(NamedTuple):
    rules: list[Rule]
    source: Path | None  # the file they were read from
    state: str | None  # the configured state directory
    alerts: AlertDestination


class WatchOptions(NamedTuple):
    """The arguments of `watchdog watch`, without the configuration's file."""

    poll_interval: float  # seconds
    once: bool
    dry_run: bool


def settings_as_text(options: WatchOptions, settings: WatchdogSettings) -> str:
    """Return options and settings, and the secrets that this process remembers."""
    return json.dumps(
        {
            "version": __version__,
            "options": options,
            "rules": None if settings.rules[0] is DEFAULT else settings.rules,
            "source": None if settings.source is None else str(settings.source),
            "state": settings.state,
            "alerts": settings.alerts,
            "remembered": scrubbing.remembered(),
        }
    )


def error_as_text(error: str) -> str:
    return json.dumps({"version": __version__, "error": error})


def received(text: bytes) -> tuple[WatchOptions, WatchdogSettings] | str:
    """Return options and settings, or the error, and remember the secrets.

    Raise ValueError, KeyError or TypeError for anything but the text of this version.
    """
    value = json.loads(text)
    if value["version"] != __version__:
        raise ValueError(f"version {value['version']} instead of {__version__}")
    if "error" in value:
        return str(value["error"])
    rules = [DEFAULT] if value["rules"] is None else [Rule(*each) for each in value["rules"]]
    source = None if value["source"] is None else Path(value["source"])
    settings = WatchdogSettings(rules, source, value["state"], AlertDestination(*value["alerts"]))
    options = WatchOptions(*value["options"])
    scrubbing.remember_forms(value["remembered"])
    return options, settings
