"""Where alerts go, from the settings: Sentry, the webhook, services of apprise; and what else a run sends.

The webhook's document is made here, Sentry's events in `sentry`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from servermonitoring import clock
from servermonitoring.delivery import dsn
from servermonitoring.delivery.alert_filter import AlertFilter
from servermonitoring.delivery.attempt import DeliveryOutcome
from servermonitoring.delivery.spool import Tally
from servermonitoring.values import iso

if TYPE_CHECKING:
    from pathlib import Path

    from healthchecks.plugin.alerting.alert import Alert
    from healthchecks.plugin.alerting.heartbeat import RunHeartbeat
    from healthchecks.plugin.configuration.settings import SuiteSettings
    from servermonitoring.delivery.outbox import DocumentService
    from servermonitoring.delivery.sentry import Sentry
    from servermonitoring.delivery.spool import SpoolEntry

OnError = Callable[[str], None]
"""Called with what is wrong; the run goes on."""


class Task(Protocol):
    """What is sent at the start and at the end of a run."""

    def begin(self) -> None:
        """Start, without waiting for anything."""

    def end(self, exitstatus: int, ends_at: float) -> None:
        """Finish, in a thread of its own; what is not done at `ends_at` (monotonic) is left undone."""

    def summary(self) -> str:
        """Return a line for the terminal; empty if there is nothing to say."""


class Channel:
    """A service with a spool, and the function that puts an alert into it."""

    def __init__(
        self,
        name: str,
        service: "Sentry | DocumentService",
        put: "Callable[[Alert], SpoolEntry | None]",
        only: AlertFilter,
        *,
        takes_all: bool = True,
    ) -> None:
        """`takes_all`: False for Sentry, where each event reopens its issue, and which has kills from the watchdog."""
        self.name, self.put, self.only, self.takes_all = name, put, only, takes_all
        self._service = service

    def takes(self, alert: "Alert") -> bool:
        """Return whether this alert is sent here."""
        return self.only in alert.filters and (self.takes_all or not (alert.is_recovery or alert.is_kill))

    def has_sent(self, copy: "SpoolEntry") -> bool:
        """Return whether a delivery that was in memory only has been sent, or written to the disk, since."""
        return self._service.spool.has_left_memory(copy)

    def try_out(self, alert: "Alert", budget: float) -> tuple[bool, str]:
        """Send one alert, and nothing else; return whether it was accepted, and what the receiver answered."""
        entry = self.put(alert)
        if entry is None:
            return False, self._service.tally().error or "the alert could not be created"
        attempt = self._service.outbox.try_once(entry, budget)
        if attempt.outcome is DeliveryOutcome.SENT:
            return True, attempt.response.summary() if attempt.response else ""
        words = attempt.response.first_words() if attempt.response else ""
        return False, f"{self._without_name(attempt.error)}{words}"

    def begin(self) -> None:
        """Start to send what waits from earlier runs, while the probes of this one run."""
        self._service.start()

    def end(self, exitstatus: int, ends_at: float) -> None:  # noqa: ARG002 - sent whatever the run's status
        self._service.finish(ends_at - clock.monotonic())

    def summary(self) -> str:
        tally = self._service.tally()
        if tally == Tally():
            return ""
        return f"{self.name}: {replace(tally, error=self._without_name(tally.error))}"

    def _without_name(self, error: str) -> str:
        """Return an error for a line that begins with the name."""
        return error.removeprefix("the ").removeprefix(f"{self.name} ")


@dataclass(frozen=True)
class AlertInputs:
    """What alerting needs to know of the run."""

    settings: "SuiteSettings"
    host: str
    directory: "Path"
    """The state directory."""
    started: datetime
    of_reports: bool = False
    part: str = ""
    """Why this is not a run of all checks; empty if it is."""
    report: Callable[[], str] = str
    """Returns what the run has found, for people; its first line is the headline."""


@dataclass(frozen=True)
class Connections:
    """What the settings ask for."""

    channels: "list[Channel]" = field(default_factory=list)
    tasks: "list[Task]" = field(default_factory=list)
    """Check-ins and resolutions."""
    heartbeats: "list[RunHeartbeat]" = field(default_factory=list)
    """One, if it is configured."""
    names: "list[str]" = field(default_factory=list)

    def __str__(self) -> str:
        nowhere = f"none are sent: {NO_CHANNEL}"
        return "; ".join(([] if self.channels else [nowhere]) + [", ".join(self.names)] * bool(self.names))


VARIABLE = dsn.HEALTHCHECKS
NO_CHANNEL = f"no [sentry] dsn, ${VARIABLE}, [alerts] webhook or [alerts] notify"


def connect(inputs: AlertInputs, on_error: OnError) -> Connections:
    """Return the channels and tasks of a run. A wrong setting calls `on_error` and costs no other channel."""
    connections = Connections()
    for add in (_add_sentry, _add_webhook, _add_notify, _add_heartbeat):
        try:
            add(inputs, connections)
        except ValueError as error:
            on_error(f"alerts: {error}")
    return connections


def spools_of_configured(settings: "SuiteSettings", directory: "Path") -> list[str]:
    """Return the names of the spools of the channels that are configured; `directory` is the state's."""
    names = ["sentry"] * bool(_dsn(settings)) + ["webhook"] * bool(settings.alerts.webhook)
    if not settings.alerts.notify:
        return names
    from servermonitoring.delivery.notify_services import NotifyServices

    services = NotifyServices(directory / "spool")
    return names + [services.spool(each) for each in settings.alerts.notify]


def _dsn(settings: "SuiteSettings") -> str:
    return dsn.in_force(VARIABLE, settings.sentry.dsn.reveal() if settings.sentry.dsn else "")


def _add_sentry(inputs: AlertInputs, connections: Connections) -> None:
    settings = inputs.settings.sentry
    text = _dsn(inputs.settings)
    if not text:
        return
    from healthchecks.plugin.alerting.sentry import CheckIn, Resolutions, Resolver, attachments, event
    from servermonitoring.delivery.sentry import EnvelopeAttachment, Origin, Sentry

    origin = Origin(host=inputs.host)
    if settings.environment:
        origin = replace(origin, environment=settings.environment)
    sentry = Sentry(text, inputs.directory / "spool" / "sentry", origin)

    def put(alert: "Alert") -> "SpoolEntry | None":
        files = [EnvelopeAttachment(each.name, each.content, each.media_type) for each in attachments(alert)]
        return sentry.put(event(alert), files)

    connections.channels.append(Channel("Sentry", sentry, put, settings.only, takes_all=False))
    connections.names.append(_with_details(f"Sentry at {sentry.dsn.host}", origin.environment, settings.only))
    monitor = settings.check_in and (settings.check_in.reports if inputs.of_reports else settings.check_in)
    if monitor and inputs.part:
        connections.names.append(f"no check-in, since this is a part of the checks ({inputs.part})")
    elif monitor:
        connections.tasks.append(CheckIn(sentry, monitor))
    if settings.token:
        resolver = Resolver(settings.url, settings.token, settings.organization, settings.project)
        connections.tasks.append(Resolutions(resolver, inputs.directory))


def _add_webhook(inputs: AlertInputs, connections: Connections) -> None:
    settings = inputs.settings.alerts
    url = settings.webhook
    if not url:
        return
    from servermonitoring.delivery.webhook import Webhook

    webhook = Webhook(url.reveal(), inputs.directory / "spool" / "webhook", form=settings.webhook_format)

    connections.channels.append(_channel("webhook", webhook, settings.webhook_only))
    connections.names.append(_with_details("webhook", settings.webhook_only))


def _add_notify(inputs: AlertInputs, connections: Connections) -> None:
    urls = inputs.settings.alerts.notify
    if not urls:
        return
    from servermonitoring.delivery.notify import Notify
    from servermonitoring.delivery.notify_services import NotifyServices

    services = NotifyServices(inputs.directory / "spool")
    names = services.names(urls)
    for url, name in names.items():
        notify = Notify(url, name, inputs.directory / "spool" / services.spool(url))
        connections.channels.append(_channel(name, notify, url.only))
        connections.names.append(_with_details(name, url.only))
    if services.wrong:
        raise ValueError(f"[alerts] notify: {'; '.join(services.wrong)}")


def _with_details(name: str, *details: object) -> str:
    """Return "Sentry at sentry.io (production; only error)"."""
    words = "; ".join(filter(None, map(str, details)))
    return f"{name} ({words})" if words else name


def _channel(name: str, service: "DocumentService", only: AlertFilter) -> Channel:
    def put(alert: "Alert") -> "SpoolEntry | None":
        return service.post(_document(alert), "/".join(alert.fingerprint))

    return Channel(name, service, put, only)


def _add_heartbeat(inputs: AlertInputs, connections: Connections) -> None:
    settings = inputs.settings.heartbeat
    secret = settings.reports_url if inputs.of_reports else settings.url
    if not secret:
        return
    from healthchecks.plugin.alerting.heartbeat import RunHeartbeat
    from servermonitoring.delivery.heartbeat import PingFormat, PingService

    url = secret.reveal()
    service = PingService(url, PingFormat(settings.format) if settings.format else PingFormat.of_url(url))
    if inputs.part:
        what = "reports" if inputs.of_reports else "checks"
        connections.names.append(f"no heartbeat, since this is a part of the {what} ({inputs.part})")
        return
    failing_is_failure = settings.failing_checks == "failure"
    connections.heartbeats.append(RunHeartbeat(service, inputs.report, failing_is_failure=failing_is_failure))
    connections.names.append(f"heartbeat ({service.format})")


def _document(alert: "Alert") -> dict[str, Any]:
    """Return the alert as the webhook's JSON document, which docs/alerts.md shows; keys are added, never renamed."""
    check, target, topic = alert.key
    result = alert.result
    status = "logged" if topic else str(result.status) if result else "failed"
    return {
        "id": alert.id,
        "action": "test" if alert.is_test else str(alert.action),
        "title": alert.title,
        "check": check,
        "target": target,
        "label": alert.label,
        "message": alert.message,
        "status": status,
        "level": alert.level,
        "host": alert.host,
        "group": result.group if result else "",
        "time": iso(alert.time),
        "since": iso(alert.since),
        "failures": alert.failures,
        "suppressed": alert.suppressed,
        "metrics": [asdict(each) for each in alert.metrics],
        "link": alert.link,
        "runbook": alert.runbook,
        "data": dict(alert.data),
    }
