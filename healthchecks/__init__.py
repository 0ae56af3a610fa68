"""The names that an author of checks imports; each is loaded on first use, so that the import costs nothing.

A check is a plain pytest test. It may ask for a *target*, one table of the configuration, and for a
*probe* of that target, which was started before the first test ran.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.target import ConfigPath, Duration, Percentage, Size, Target
    from healthchecks.plugin.forecast import forecast
    from healthchecks.plugin.logs import capture_message
    from healthchecks.plugin.probes.context import attach, metric, on_timeout, past_metric, phase, remaining, show_peer
    from healthchecks.plugin.probes.fixture import probe
    from healthchecks.plugin.result import CheckError, ProbeTimeout, Unhealthy
    from servermonitoring.secret import Secret

__all__ = [
    "CheckError",
    "ConfigPath",
    "Duration",
    "Percentage",
    "ProbeTimeout",
    "Secret",
    "Size",
    "Target",
    "Unhealthy",
    "attach",
    "capture_message",
    "forecast",
    "metric",
    "on_timeout",
    "past_metric",
    "phase",
    "probe",
    "remaining",
    "show_peer",
]

_HOMES = {
    "CheckError": "healthchecks.plugin.result",
    "ConfigPath": "healthchecks.plugin.configuration.target",
    "Duration": "healthchecks.plugin.configuration.target",
    "ProbeTimeout": "healthchecks.plugin.result",
    "Secret": "servermonitoring.secret",
    "Percentage": "healthchecks.plugin.configuration.target",
    "Size": "healthchecks.plugin.configuration.target",
    "Target": "healthchecks.plugin.configuration.target",
    "Unhealthy": "healthchecks.plugin.result",
    "attach": "healthchecks.plugin.probes.context",
    "capture_message": "healthchecks.plugin.logs",
    "forecast": "healthchecks.plugin.forecast",
    "metric": "healthchecks.plugin.probes.context",
    "past_metric": "healthchecks.plugin.probes.context",
    "probe": "healthchecks.plugin.probes.fixture",
    "on_timeout": "healthchecks.plugin.probes.context",
    "phase": "healthchecks.plugin.probes.context",
    "remaining": "healthchecks.plugin.probes.context",
    "show_peer": "healthchecks.plugin.probes.context",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
