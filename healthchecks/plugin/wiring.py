"""From the settings to what is told: Sentry, the webhook, check-ins; and one line of where alerts go."""

from dataclasses import replace
from typing import TYPE_CHECKING

from healthchecks.plugin.run import Run
from servermonitoring.sentry import dsn

if TYPE_CHECKING:
    from healthchecks.plugin.alerting.alert import Alert
    from healthchecks.plugin.errands import Errand, Outlet
    from servermonitoring.delivery.entries import Delivery

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
        from healthchecks.plugin.telling import Telling

        run.telling = Telling(run, outlets, errands)
    return ", ".join(names) or f"none are sent: no [sentry] dsn, ${VARIABLE} or [alerts] webhook"


def _sentry(run: Run, outlets: "list[Outlet]", errands: "list[Errand]") -> list[str]:
    settings = run.configuration.settings.sentry
    text = dsn.in_force(VARIABLE, settings.dsn.reveal() if settings.dsn else "")
    if not text:
        return []
    from healthchecks.plugin.errands import CheckIn, Outlet, Resolutions
    from healthchecks.plugin.sinks.resolving import Resolver
    from servermonitoring.sentry.client import Sentry
    from servermonitoring.sentry.envelope import Attachment, Origin

    origin = Origin(host=run.host)
    if settings.environment:
        origin = replace(origin, environment=settings.environment)
    sentry = Sentry(text, run.directory / "spool" / "sentry", origin)

    def put(alert: "Alert") -> "Delivery | None":
        from healthchecks.plugin.sinks.sentry import attachments, event

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
    from healthchecks.plugin.errands import Outlet
    from servermonitoring.delivery.webhook import Webhook

    webhook = Webhook(url.reveal(), run.directory / "spool" / "webhook")

    def put(alert: "Alert") -> "Delivery | None":
        from healthchecks.plugin.sinks.webhook import document

        return webhook.post(document(alert), "/".join(alert.fingerprint))

    outlets.append(Outlet("webhook", webhook, put))
    return ["webhook"]
