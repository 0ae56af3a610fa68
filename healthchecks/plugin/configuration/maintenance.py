"""Tables [maintenance.NAME]: windows in which targets are checked and shown, but alert nobody."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Self

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_FIRST_YEAR, _LAST_YEAR = 1971, 2199  # with these every time zone can be computed


def _in_range(moment: datetime) -> datetime:
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"write a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


Moment = Annotated[datetime, AfterValidator(_in_range)]


class Maintenance(BaseModel):
    """A `[maintenance.NAME]` table: from `start` to `end`, or `hours` long from each time that `cron` names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Moment | None = None
    """First moment; a time without offset is this machine's local time."""
    end: Moment | None = None
    """Last moment."""
    cron: str | None = None
    """When a repeated window begins, as in a crontab, in local time: `"0 3 * * 0"`."""
    hours: float | None = Field(default=None, gt=0, le=24 * 31)
    """How long a repeated window lasts."""
    checks: tuple[str, ...] = ("*",)
    """Targets that the window is for, with `*` as in file names: `["website.*", "host"]`."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        once, repeated = (self.start, self.end), (self.cron, self.hours)
        if (None in once) == (None in repeated) or (any(once) and any(repeated)):
            raise ValueError("needs either start and end, or cron and hours")
        if self.start and self.end and _aware(self.start) >= _aware(self.end):
            raise ValueError(f"ends ({self.end}) before it starts ({self.start})")
        if self.cron:
            try:
                checked_schedule(self.cron)
            except ValueError as error:
                raise ValueError(f'cron = "{self.cron}": {error}') from None
        return self

    def covers(self, reference: str, now: datetime) -> bool:
        """Return whether the target so referred to (website.home) is in maintenance at this moment."""
        return any(fnmatchcase(reference, pattern) for pattern in self.checks) and self._is_open(now)

    def idle_patterns(self, references: Collection[str]) -> list[str]:
        """Return the patterns that match none of these; reports are known to their own runs only."""
        ours = [each for each in self.checks if not each.startswith("report.")]
        return [each for each in ours if not any(fnmatchcase(reference, each) for reference in references)]

    def _is_open(self, now: datetime) -> bool:
        if self.start and self.end:
            return _aware(self.start) <= now <= _aware(self.end)
        length = timedelta(hours=self.hours or 0)
        local = now.astimezone().replace(tzinfo=None)
        begins = next(CronSim(self.cron or "", local, reverse=True), None)
        return begins is not None and local - begins < length


def checked_schedule(cron: str) -> str:
    """Return the same five fields. Raise ValueError for what a crontab would not take."""
    try:
        CronSim(cron, datetime.now())  # noqa: DTZ005 - a crontab is in local time
    except CronSimError as error:
        raise ValueError(f'{error}; write five fields, as in "0 3 * * 0"') from None
    return cron


def _aware(moment: datetime) -> datetime:
    return moment.astimezone(UTC)  # a naive one is taken as local time
