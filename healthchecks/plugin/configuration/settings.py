"""The tables of the suite itself: [run], [state], [history], [dashboard], [metrics], [sentry], [alerts], [heartbeat] …

maintenance.py has [maintenance.NAME].
"""

import math
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from healthchecks.plugin.configuration.maintenance import Maintenance, checked_schedule
from healthchecks.plugin.configuration.target import ConfigPath, Duration, Size
from servermonitoring.delivery import notify_url
from servermonitoring.delivery.alert_filter import AlertFilter
from servermonitoring.delivery.notify_url import NotifyUrl
from servermonitoring.delivery.text import WebhookFormat
from servermonitoring.secret import Secret

_DAY = 86400.0  # seconds
_LONGEST_URL = 500  # characters
_SLUG = r"^[\w-]*$"


class SettingsTable(BaseModel):
    """A table of settings: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSettings(SettingsTable):
    timeout: Duration = Field(default=300.0, gt=0, le=_DAY)
    """Maximum duration of the whole run, whatever it still waits for."""
    workers: int | None = Field(default=None, ge=1, le=32)
    """Number of processes that run probes; default: one for each core that may be used."""
    worker_memory: Size = Field(default=512_000_000, ge=50_000_000, le=64_000_000_000)
    """Maximum memory that the probes of one process may use; the one that uses more has failed."""
    checks: tuple[ConfigPath, ...] = ()
    """Files and folders with checks of your own, which `pytest healthchecks` then runs, too."""


class StateSettings(SettingsTable):
    directory: ConfigPath | None = None
    """Directory of history, spools and the run lock; default: `~/.local/state/servermonitoring`."""

    @field_validator("directory", mode="before")
    @classmethod
    def _empty_is_none(cls, directory: object) -> object:
        return directory or None


class HistorySettings(SettingsTable):
    max_age: Duration = Field(default=400 * _DAY, ge=_DAY, le=3660 * _DAY)
    """Maximum age of results; older ones are deleted."""

    @property
    def days(self) -> int:
        """Return the same in whole days, rounded up."""
        return math.ceil(self.max_age / _DAY)


def _page_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        complete = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        complete = False
    if not complete or not url.isprintable() or " " in url:
        raise ValueError("is not a URL: write https://host/path/")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError("contains a user, a query or a fragment: alerts show this URL, so write https://host/path/")
    return url


class DashboardSettings(SettingsTable):
    directory: ConfigPath = Path("reports/html")
    """Directory of index.html, status.json, runs/ and badges/; the default is relative to the checkout."""
    url: Annotated[str, Field(max_length=_LONGEST_URL), AfterValidator(_page_url)] = ""
    """URL at which the page is opened: `"https://status.example.com/"`; alerts link to their check on it."""
    interval: Duration | None = Field(default=None, gt=0, le=31 * _DAY)
    """Time from one run to the next; default: as it was lately. After two of them without a run the page is shown as
    late."""


class MonitorSettings(SettingsTable):
    monitor: str = Field(pattern=r"^[a-z0-9_-]*(\{host\})?[a-z0-9_-]*$", min_length=1, max_length=50)
    """Slug of Sentry's cron monitor, made there if there is none; `{host}` in it is the name of this host."""
    schedule: str = "*/10 * * * *"
    """When runs begin, as in the crontab."""
    timezone: str = "UTC"
    """Time zone of the schedule: `"Europe/Berlin"`."""
    margin: Duration = Field(default=300.0, ge=60, le=_DAY)
    """Maximum time that a run may begin late."""
    max_runtime: Duration = Field(default=540.0, ge=60, le=_DAY)
    """Maximum time that a run may take."""

    @field_validator("schedule")
    @classmethod
    def _is_schedule(cls, schedule: str) -> str:
        return checked_schedule(schedule)

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError('is no time zone; write a name such as "Europe/Berlin"') from None
        return name


class CheckInSettings(MonitorSettings):
    reports: MonitorSettings | None = None
    """Table `[sentry.check_in.reports]` with the same keys: the monitor of runs of database reports alone; without it
    they do not check in."""


class SentrySettings(SettingsTable):
    dsn: Secret | None = None
    """DSN of the project that gets the alerts; a secret. $HEALTHCHECKS_SENTRY_DSN and $SENTRY_DSN come first."""
    only: AlertFilter = Field(default_factory=AlertFilter)
    """Alerts that go there, by a list of `"failed"`, `"error"`; `"local"`, `"shared"`; `"critical"`, `"warning"`;
    `"group:NAME"`; default: all."""
    environment: str = ""
    """Where this runs, as Sentry names it: `"staging"`; default: $SENTRY_ENVIRONMENT, else `"production"`."""
    token: Secret | None = None
    """Token that resolves the issues of recovered checks; a secret. Needs `organization`; docs/alerts.md has its
    scopes."""
    organization: str = Field(default="", pattern=_SLUG)
    """Slug of the organization."""
    project: str = Field(default="", pattern=_SLUG)
    """Slug of the project: with it the token needs the scopes project:read and event:write only, else org:read and
    event:write."""
    url: str = Field(default="https://sentry.io", pattern=r"^https?://[^/\s]+/?$")
    """URL of Sentry's API."""
    check_in: CheckInSettings | None = None
    """Table `[sentry.check_in]`: check in with Sentry's cron monitor at the end of every run."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.token) != bool(self.organization):
            raise ValueError("token and organization belong together: issues are resolved with both")
        return self


class AlertSettings(SettingsTable):
    max_per_run: int = Field(default=20, ge=0, le=10_000)
    """Maximum number of alerts of one run; more are one summary. 0: no limit."""
    max_per_day: int = Field(default=200, ge=0, le=100_000)
    """Maximum number of alerts within 24 hours; above it only failures that were not alerted in them are sent. 0: no
    limit."""
    webhook: Secret | None = None
    """URL to which every alert is sent by POST; a secret."""
    webhook_format: WebhookFormat = "json"
    """Form of the body: `"json"`, the whole alert as one document, or `"slack"`, a text as Slack takes it; also for
    Mattermost, Rocket.Chat, and Discord with /slack at the end of the URL."""
    webhook_only: AlertFilter = Field(default_factory=AlertFilter)
    """Alerts that go to the webhook, as for `[sentry] only`; default: all."""
    notify: tuple[NotifyUrl, ...] = ()
    """URLs of apprise: `["mailto://…", "slack://…"]`, each a channel and a secret, or `"file:PATH"` of a file with one
    URL per line; with a filter `{ url = "…", only = ["critical"] }`."""

    @field_validator("notify", mode="before")
    @classmethod
    def _urls(cls, entries: object, info: ValidationInfo) -> tuple[NotifyUrl, ...]:
        urls = notify_url.load(entries, info.context)
        if urls and find_spec("apprise") is None:
            raise ValueError("needs apprise, which is not installed: pip install 'servermonitoring[notify]'")
        return urls


class HeartbeatSettings(SettingsTable):
    url: Secret | None = None
    """URL that healthchecks.io, Uptime Kuma (push) or a like service shows, which each run of all checks pings; a
    secret."""
    reports_url: Secret | None = None
    """The same for each run of all reports, which comes once a day: another URL than `url`; a secret."""
    format: Literal["healthchecks.io", "kuma", "plain"] | None = None
    """How the service wants to be pinged: `"healthchecks.io"`, `"kuma"`, or `"plain"`, which has successes only;
    default: known by the form of the URL."""
    failing_checks: Literal["success", "failure"] = "success"
    """What a run with failing checks is, `"success"` or `"failure"`; a run that could not do its work is a failure in
    any case."""

    @field_validator("url", "reports_url")
    @classmethod
    def _is_url(cls, url: Secret | None) -> Secret | None:
        from servermonitoring.delivery.webhook import is_url

        if url and not is_url(url.reveal()):
            raise ValueError("is not a URL: write https://HOST/PATH")
        return url

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.url and self.reports_url and self.url.reveal() == self.reports_url.reveal():
            raise ValueError("url and reports_url are the same: a run of reports would hide that no checks run")
        return self


class ReportsSettings(SettingsTable):
    database: str = ""
    """NAME of the `[database.NAME]` for reports that name none; needed if there are several."""


def _label(name: str) -> str:
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name) or name in _TAKEN_LABELS:
        raise ValueError(f"{name!r} cannot be a label: write letters, digits and _, and none of {_TAKEN_TEXT}")
    return name


_TAKEN_LABELS = (
    "bound", "check", "group", "instance", "job", "metric", "reason", "rule", "runbook", "scope", "severity", "target",
    "unit",
)  # fmt: skip
_TAKEN_TEXT = ", ".join(_TAKEN_LABELS)
Labels = Annotated[
    dict[Annotated[str, AfterValidator(_label)], Annotated[str, Field(max_length=100)]], Field(max_length=10)
]


class MetricsSettings(SettingsTable):
    textfile: ConfigPath | None = None
    """File for node_exporter's textfile collector; its name ends in .prom."""
    labels: Labels = {}
    """Labels of all metrics of this host: `{ site = "fra1" }`; Prometheus adds instance and job by itself."""

    @field_validator("textfile")
    @classmethod
    def _is_read(cls, path: Path | None) -> Path | None:
        if path is not None and not path.name.endswith(".prom"):
            raise ValueError(f'{str(path)!r} would not be read: node_exporter takes files whose names end in ".prom"')
        return path


class SuiteSettings(SettingsTable):
    """What is in force besides the targets."""

    run: RunSettings = RunSettings()
    state: StateSettings = StateSettings()
    history: HistorySettings = HistorySettings()
    dashboard: DashboardSettings = DashboardSettings()
    reports: ReportsSettings = ReportsSettings()
    sentry: SentrySettings = SentrySettings()
    alerts: AlertSettings = AlertSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    metrics: MetricsSettings = MetricsSettings()
    maintenance: dict[str, Maintenance] = Field(default_factory=dict)
