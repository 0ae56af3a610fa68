"""Whether alerts are sent now, and to whom; `handler` is loaded only where they are."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.background import in_background
from watchdog.settings import VARIABLE, Addressee

if TYPE_CHECKING:
    from watchdog.alerting.handler import Alerts

log = logging.getLogger(__name__)

BUDGET = 5.0  # seconds for what is left at the end


class Outlet:
    """One for the life of the watchdog; `address` it again when the configuration was read anew."""

    def __init__(self, spool: Path | None) -> None:  # None: nothing is sent
        self._spool = spool
        self._to: Addressee | None = None
        self._alerts: Alerts | None = None

    def address(self, to: Addressee) -> None:
        """Send alerts there from now on. What is wrong is told, and the watchdog goes on without."""
        if to == self._to or self._spool is None:
            return
        self._to, before, self._alerts = to, self._alerts, None
        if before:
            in_background(lambda: before.finish(BUDGET))
        if to.problem:
            log.error("alerts are not sent: %s", to.problem)
        elif not to.dsn:
            log.info("alerts are not sent: no DSN in $%s, $SENTRY_DSN or [sentry] dsn", VARIABLE)
        else:
            self._open(to, self._spool)

    def close(self) -> None:
        """Send what is left, and end."""
        if self._alerts:
            self._alerts.finish(BUDGET)
            self._alerts = None

    def _open(self, to: Addressee, spool: Path) -> None:
        from watchdog.alerting.handler import Alerts

        try:
            self._alerts = Alerts(to, spool)
        except ValueError as error:
            log.error("alerts are not sent: %s", error)  # noqa: TRY400 - it says all
            return
        log.info("alerts go to Sentry at %s", self._alerts.host)
        self._alerts.start()
