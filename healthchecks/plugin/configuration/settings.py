"""The tables of the suite itself: [run], [state], [history], [dashboard], [reports], [metrics], [sentry], [alerts] …"""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from healthchecks.plugin.configuration.maintenance import Maintenance, checked_schedule
from healthchecks.plugin.configuration.target import Duration
from servermonitoring.secret import Secret

_DAY = 86400.0  # seconds
_SLUG = r"^[\w-]*$"


class SettingsTable(BaseModel):
    """A table of settings: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSettings(SettingsTable):
    timeout: Duration = Field(default=300.0, gt=0, le=_DAY)
    """Seconds after which the whole run is over, whatever is still awaited."""
    checks: tuple[str, ...] = ()
    """Files and folders with checks of your own, relative to this file: `pytest healthchecks` runs them, too."""


class StateSettings(SettingsTable):
    directory: str | None = None
    """Where history, spools and the run lock are kept, relative to this file; ~/.local/state/servermonitoring."""


class HistorySettings(SettingsTable):
    max_age: Duration = Field(default=400 * _DAY, ge=_DAY, le=3660 * _DAY)
    """How long results are kept."""

    @property
    def days(self) -> int:
        """Return the same in whole days, rounded up."""
        return math.ceil(self.max_age / _DAY)


class DashboardSettings(SettingsTable):
    directory: str = "reports/html"
    """Where index.html, status.json, runs/ and badges/ are written, relative to this file; the default one is
    relative to the checkout."""
    interval: Duration | None = Field(default=None, gt=0, le=31 * _DAY)
    """Seconds from one run to the next; default: as it was lately. The page is shown as late after two of them."""


class MonitorSettings(SettingsTable):
    monitor: str = Field(pattern=r"^[a-z0-9_-]*(\{host\})?[a-z0-9_-]*$", min_length=1, max_length=50)
    """The slug of Sentry's cron monitor, made there if there is none; {host} in it is the name of this host."""
    schedule: str = "*/10 * * * *"
    """When runs begin, as in the crontab."""
    timezone: str = "UTC"
    """Of the schedule: "Europe/Berlin"."""
    margin: Duration = Field(default=300.0, ge=60, le=_DAY)
    """Seconds that a run may begin late."""
    max_runtime: Duration = Field(default=540.0, ge=60, le=_DAY)
    """Seconds that it may take."""

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
    """The monitor of runs of database reports alone; without it those check in nowhere."""


class SentrySettings(SettingsTable):
    dsn: Secret | None = None
    """Of the project that gets the alerts; $HEALTHCHECKS_SENTRY_DSN and $SENTRY_DSN come first."""
    environment: str = ""
    """Sentry's word for where this runs: "staging"; default $SENTRY_ENVIRONMENT, else "production"."""
    token: Secret | None = None
    """Resolves the issues of recovered checks; needs `organization`; docs/alerts.md has its scopes."""
    organization: str = Field(default="", pattern=_SLUG)
    """Its slug."""
    project: str = Field(default="", pattern=_SLUG)
    """Its slug: then the token needs the scopes project:read and event:write only, else org:read and event:write."""
    url: str = Field(default="https://sentry.io", pattern=r"^https?://[^/\s]+/?$")
    """Where Sentry's API is."""
    check_in: CheckInSettings | None = None
    """Tell Sentry's cron monitor of every run."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.token) != bool(self.organization):
            raise ValueError("token and organization belong together: issues are resolved with both")
        return self


class AlertSettings(SettingsTable):
    max_per_run: int = Field(default=20, ge=0, le=10_000)
    """Events of one run; any more are one summary. 0: no limit."""
    max_per_day: int = Field(default=200, ge=0, le=100_000)
    """Events of 24 hours; then only failures that were not alerted in them are sent. 0: no limit."""
    webhook: Secret | None = None
    """A URL to which every event is sent by POST, as JSON."""


class ReportsSettings(SettingsTable):
    database: str = ""
    """NAME of the [database.NAME] that reports ask which name none; needed where there are several."""


class MetricsSettings(SettingsTable):
    textfile: str | None = None
    """File for node_exporter's textfile collector, its name ending in .prom, relative to this file; default none."""

    @field_validator("textfile")
    @classmethod
    def _is_read(cls, name: str | None) -> str | None:
        if name is not None and not name.endswith(".prom"):
            raise ValueError(f'{name!r} would not be read: node_exporter takes files whose names end in ".prom"')
        return name


class SuiteSettings(SettingsTable):
    """What is in force besides the targets."""

    run: RunSettings = RunSettings()
    state: StateSettings = StateSettings()
    history: HistorySettings = HistorySettings()
    dashboard: DashboardSettings = DashboardSettings()
    reports: ReportsSettings = ReportsSettings()
    sentry: SentrySettings = SentrySettings()
    alerts: AlertSettings = AlertSettings()
    metrics: MetricsSettings = MetricsSettings()
    maintenance: dict[str, Maintenance] = Field(default_factory=dict)
