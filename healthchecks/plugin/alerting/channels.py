"""Channels from the settings: Sentry, the webhook, check-ins; and one line of where alerts go."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from healthchecks.plugin.alerting.sentry import CheckIn, Resolutions
from healthchecks.plugin.run import Run
from servermonitoring.delivery.entries import Tally
from servermonitoring.sentry import dsn

if TYPE_CHECKING:
    from collections.abc import Callable

    from healthchecks.plugin.alerting.alert import Alert
    from servermonitoring.delivery.entries import Delivery
    from servermonitoring.delivery.webhook import Webhook
    from servermonitoring.sentry.client import Sentry


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


VARIABLE = dsn.HEALTHCHECKS


def wire(run: Run) -> str:
    """Set up what this run tells; gives what the header says of it. What is wrong is told, and the run goes on."""
    outlets: list[Outlet] = []
    errands: list[Errand] = []
    names: list[str] = []
    for connect in (_sentry, _webhook):
        try:
            names += connect(run, outlets, errands)
        except ValueError as error:
            run.trouble("alerts", f"alerts: {error}")
    if outlets:
        from healthchecks.plugin.alerting.dispatcher import Telling

        run.telling = Telling(run, outlets, errands)
    return ", ".join(names) or f"none are sent: no [sentry] dsn, ${VARIABLE} or [alerts] webhook"


def _sentry(run: Run, outlets: "list[Outlet]", errands: "list[Errand]") -> list[str]:
    settings = run.configuration.settings.sentry
    text = dsn.in_force(VARIABLE, settings.dsn.reveal() if settings.dsn else "")
    if not text:
        return []
    from healthchecks.plugin.alerting.sentry import Resolver
    from servermonitoring.sentry.client import Sentry
    from servermonitoring.sentry.envelope import Attachment, Origin

    origin = Origin(host=run.host)
    if settings.environment:
        origin = replace(origin, environment=settings.environment)
    sentry = Sentry(text, run.directory / "spool" / "sentry", origin)

    def put(alert: "Alert") -> "Delivery | None":
        from healthchecks.plugin.alerting.sentry import attachments, event

        files = [Attachment(each.name, each.content, each.media_type) for each in attachments(alert)]
        return sentry.put(event(alert), files)

    outlets.append(Outlet("Sentry", sentry, put))
    monitor = settings.check_in and (settings.check_in.reports if run.of_reports else settings.check_in)
    if monitor and not run.part:
        errands.append(CheckIn(sentry, monitor))
    if settings.token:
        resolver = Resolver(settings.url, settings.token, settings.organization, settings.project)
        errands.append(Resolutions(resolver, run.directory))
    told = [f"Sentry at {sentry.dsn.host} ({origin.environment})"]
    return [*told, f"no check-in, since this is a part of the checks ({run.part})"] if monitor and run.part else told


def _webhook(run: Run, outlets: "list[Outlet]", errands: "list[Errand]") -> list[str]:  # noqa: ARG001 - as _sentry
    url = run.configuration.settings.alerts.webhook
    if not url:
        return []
    from servermonitoring.delivery.webhook import Webhook

    webhook = Webhook(url.reveal(), run.directory / "spool" / "webhook")

    def put(alert: "Alert") -> "Delivery | None":
        from healthchecks.plugin.alerting.webhook import document

        return webhook.post(document(alert), "/".join(alert.fingerprint))

    outlets.append(Outlet("webhook", webhook, put))
    return ["webhook"]
