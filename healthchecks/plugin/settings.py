"""The tables of the suite itself: [run], [state], [history], [dashboard], [metrics], [maintenance.NAME]."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from healthchecks.plugin.fields import Duration
from healthchecks.plugin.maintenance import Maintenance


class Table(BaseModel):
    """A table of settings: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSettings(Table):
    deadline: Duration = Field(default=300.0, gt=0)
    """Seconds after which the whole run is over, whatever is still awaited."""


class StateSettings(Table):
    directory: str | None = None
    """Where history, spools and the run lock are kept; default ~/.local/state/servermonitoring."""


class HistorySettings(Table):
    days: int = Field(default=400, ge=1)
    """Days that results are kept."""


class DashboardSettings(Table):
    directory: str = "reports/html"
    """Where index.html and status.json are written."""


class MetricsSettings(Table):
    textfile: str | None = None
    """File for node_exporter's textfile collector, its name ending in .prom; none is written without it."""

    @field_validator("textfile")
    @classmethod
    def _is_read(cls, name: str | None) -> str | None:
        if name is not None and not name.endswith(".prom"):
            raise ValueError(f'{name!r} would not be read: node_exporter takes files whose names end in ".prom"')
        return name


class Settings(Table):
    """What is in force besides the targets."""

    run: RunSettings = RunSettings()
    state: StateSettings = StateSettings()
    history: HistorySettings = HistorySettings()
    dashboard: DashboardSettings = DashboardSettings()
    metrics: MetricsSettings = MetricsSettings()
    maintenance: dict[str, Maintenance] = Field(default_factory=dict)
