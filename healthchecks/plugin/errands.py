"""What a run has to do with the outside beside its checks: hand over alerts, check in, resolve issues.

Each has a beginning and an end; the end is bounded, and nothing of it raises.
"""

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from healthchecks.plugin.alerting.alert_state import AlertState
from healthchecks.plugin.alerting.state_file import StateFile
from healthchecks.plugin.slug import monitor_slug
from servermonitoring.delivery.entries import Tally
from servermonitoring.scrubbing import scrub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from healthchecks.plugin.alerting.alert import Alert
    from healthchecks.plugin.settings import MonitorSettings
    from healthchecks.plugin.sinks.resolving import Resolver
    from servermonitoring.delivery.entries import Delivery
    from servermonitoring.delivery.webhook import Webhook
    from servermonitoring.sentry.client import Sentry

_WEEK = 7 * 86400.0  # seconds after which an event that Sentry does not know will not come any more
_MINUTE = 60
_SUITE_RAN = (0, 1)  # pytest's statuses: whatever the checks say


class Errand(Protocol):
    def begin(self) -> None:
        """At the start of a run. Waits for nothing."""

    def end(self, exitstatus: int, ends_at: float) -> None:
        """In a thread of its own; what is not done at `ends_at` (monotonic) is left undone."""

    def summary(self) -> str:
        """A line for the terminal; empty if there is nothing to say."""


class Outlet:
    """Where alerts go: a service with a spool, and how an alert is put into it."""

    def __init__(self, name: str, service: "Sentry | Webhook", put: "Callable[[Alert], Delivery | None]") -> None:
        self.name, self.put = name, put
        self._service = service

    def has_sent(self, copy: "Delivery") -> bool:
        """Whether what could only be kept in memory was delivered, or written to the disk since."""
        return self._service.spool.has_left_memory(copy)

    def begin(self) -> None:
        """What waits from earlier runs is delivered while the probes of this one run."""
        self._service.start()

    def end(self, exitstatus: int, ends_at: float) -> None:  # noqa: ARG002 - whatever came of the run
        self._service.finish(ends_at - time.monotonic())

    def summary(self) -> str:
        tally = self._service.tally()
        if tally == Tally():
            return ""
        error = tally.error.removeprefix("the ").removeprefix(f"{self.name} ")
        return f"{self.name}: {replace(tally, error=error)}"


class CheckIn:
    """Tells Sentry's cron monitor that the run began, and how it ended; Sentry's tally tells if that went wrong."""

    def __init__(self, sentry: "Sentry", settings: "MonitorSettings") -> None:
        self._sentry, self._settings = sentry, settings
        self._slug = monitor_slug(settings.monitor, sentry.origin.host)
        self._id = ""

    def begin(self) -> None:
        self._id = self._send("in_progress", 0.0)

    def end(self, exitstatus: int, ends_at: float) -> None:
        self._send("ok" if exitstatus in _SUITE_RAN else "error", max(0.1, ends_at - time.monotonic()))

    def summary(self) -> str:
        return ""

    def _send(self, status: str, timeout: float) -> str:
        settings = self._settings
        config = {
            "schedule": {"type": "crontab", "value": settings.schedule},
            "timezone": settings.timezone,
            "checkin_margin": round(settings.margin / _MINUTE),
            "max_runtime": round(settings.max_runtime / _MINUTE),
        }
        return self._sentry.check_in(self._slug, status, self._id, monitor_config=config, timeout=timeout)


class Resolutions:
    """Resolves the issues of checks that are well again; what cannot be done now is tried by the next run."""

    def __init__(self, resolver: "Resolver", directory: "Path") -> None:
        self._resolver, self._file = resolver, StateFile(directory)
        self._error = ""

    def begin(self) -> None:
        """Nothing to do yet."""

    def end(self, exitstatus: int, ends_at: float) -> None:  # noqa: ARG002 - nothing depends on it
        state = self._file.read().state
        waiting = sorted(state.resolutions.items(), key=lambda each: each[1]) if state else []
        done = [event for event, since in waiting if self._is_done(event, since, ends_at)]
        try:
            if done:
                self._file.change(partial(_forget, events=done))
        except OSError as error:
            self._error = f"issues are not resolved: {error}"

    def summary(self) -> str:
        return self._error

    def _is_done(self, event: str, since: float, ends_at: float) -> bool:
        if self._error or (rest := ends_at - time.monotonic()) <= 0:
            return False
        try:
            return self._resolver.resolve(event, rest) or time.time() - since > _WEEK
        except (OSError, ValueError) as error:  # requests' own are OSErrors
            self._error = scrub(f"issues are not resolved: {error}")
            return False


def _forget(state: AlertState, events: list[str]) -> None:
    for event in events:
        state.resolutions.pop(event, None)
