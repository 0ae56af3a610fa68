"""Alerts of the watchdog: their channel, Sentry or none. `handler` is loaded only where alerts are sent."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from servermonitoring.delivery import SECONDS_AT_END
from servermonitoring.threads import in_background
from watchdog.handover import VARIABLE, AlertDestination

if TYPE_CHECKING:
    from watchdog.alerting.handler import AlertHandler

log = logging.getLogger(__name__)


class AlertChannel:
    """Lives as long as the watchdog; `configure` it again when the configuration was reloaded."""

    def __init__(self, spool: Path | None) -> None:  # None: nothing is sent
        self._spool = spool
        self._destination: AlertDestination | None = None
        self._handler: AlertHandler | None = None

    def configure(self, destination: AlertDestination) -> None:
        """Send alerts there from now on. Errors are logged, and the watchdog goes on without alerts."""
        if destination == self._destination or self._spool is None:
            return
        self._destination, before, self._handler = destination, self._handler, None
        if before:
            in_background(lambda: before.finish(SECONDS_AT_END), log)
        if destination.problem:
            log.error("alerts are not sent: %s", destination.problem)
        elif not destination.dsn:
            log.info("alerts are not sent: no DSN in $%s, $SENTRY_DSN or [sentry] dsn", VARIABLE)
        else:
            self._open(destination, self._spool)

    def close(self) -> None:
        """Send what is left, and end."""
        if self._handler:
            self._handler.finish(SECONDS_AT_END)
            self._handler = None

    def _open(self, destination: AlertDestination, spool: Path) -> None:
        from watchdog.alerting.handler import AlertHandler

        try:
            self._handler = AlertHandler(destination, spool)
        except ValueError as error:
            log.error("alerts are not sent: %s", error)  # noqa: TRY400 - the traceback adds nothing
            return
        log.info("alerts go to Sentry at %s", self._handler.host)
        self._handler.start()
