"""A card: what the page shows of one check, from its result in this run or from the history."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple, cast

from markupsafe import Markup

from healthchecks.plugin.anchor import make_anchor
from healthchecks.plugin.dashboard.line_chart import LineChart, draw_metric, forecast_in_words
from healthchecks.plugin.dashboard.run_charts import Stretch, draw_bars, draw_durations, find_stretches
from healthchecks.plugin.dashboard.snapshot import UNKNOWN_INTERVAL, PendingCheck, Snapshot
from healthchecks.plugin.history import CheckHistory, Point, Streak, Uptime
from healthchecks.plugin.history.queries import MANY_CHECKS, UPTIME_DAYS
from healthchecks.plugin.metric import Metric, Unit
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.silence import Silence
from healthchecks.plugin.wording import CardStatus
from servermonitoring.values import duration_in_words, metric_in_words

_LABEL_END = re.compile(r"[\[:/]")
_CUT_OFF = "the run was cut off"
_FINE = 0.9  # uptimes above it have two decimal places


class CardNumber(NamedTuple):
    """A number of a check in words."""

    name: str
    value: str  # "43 %"
    limit: str = ""  # "of 90 %", "minimum 5 %"


@dataclass(frozen=True)
class Card:
    """What the page shows of one check; the template escapes the texts."""

    check: str
    target: str
    label: str
    group: str
    status: CardStatus
    maintenance: bool
    message: str
    duration: float | None
    """Seconds; None if there was no probe in this run."""
    since: datetime | None
    runs: int
    """In a row with this status."""
    checked_at: datetime | None
    """When it was last checked, if not in this run."""
    note: str = ""
    """Why the result is not of this run."""
    is_cut_off: bool = False
    """Whether it has no result because the run was cut off."""
    recent: Sequence[Point] = ()
    usual: tuple[float, float] | None = None
    uptimes: Sequence[tuple[str, str]] = ()
    """Period and percentage: ("7 d", "99.93 %")."""
    node: str = ""
    """The node id of the test in this run."""
    reference: str = ""
    """As `needs` names its target: website.home."""
    metrics: Sequence[Metric] = ()
    """The main one first."""
    charts: Sequence[LineChart] = ()
    """Of its main metric, the shortest period first; or else of its duration."""
    forecast: str = ""
    """Of its main metric: "reaches 90 % in 12 d"."""
    runbook: str = ""
    """A URL or a text."""
    silence: Silence | None = None
    """Until when it is silenced, by which user and why."""

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target

    @cached_property
    def readings(self) -> Sequence[CardNumber]:
        """Its metrics in words."""
        return _list_readings(self.metrics)

    @cached_property
    def bars(self) -> Markup:
        """Its last runs, which a row shows twice."""
        return draw_bars(self.stretches)

    @cached_property
    def stretches(self) -> Sequence[Stretch]:
        """Its last runs, those in a row with the same result together."""
        return find_stretches(self.recent)

    @cached_property
    def id(self) -> str:
        """For links and file names: check-CHECK-TARGET."""
        return make_anchor(self.check, self.target)

    @cached_property
    def heading(self) -> str:
        """The group of the target, or else its kind; of a test without a target, its name."""
        kind, dot, _ = self.reference.partition(".")
        return self.group or (kind if dot else _LABEL_END.split(self.label)[0]).replace("_", " ")

    @property
    def has_own_heading(self) -> bool:
        """Whether the heading stands for this test alone, if no other has it."""
        return not self.group and "." not in self.reference

    @property
    def subject(self) -> str:
        """The check in words: "website access"; empty where the label has them."""
        words = self.check.replace("_", " ")
        return "" if self.label.startswith(self.check) else words

    @property
    def short_subject(self) -> str:
        """The subject without the kind, where the label has that before its bracket: "access"."""
        return self.subject.removeprefix(f"{_LABEL_END.split(self.label)[0].replace('_', ' ')} ")

    @property
    def reading(self) -> CardNumber | None:
        """The number of the row: the main metric, or else the duration; None if there is neither."""
        return self.readings[0] if self.readings else self.duration_reading

    @property
    def duration_reading(self) -> CardNumber | None:
        return None if self.duration is None else CardNumber("duration", duration_in_words(self.duration))

    @property
    def main_chart(self) -> LineChart | None:
        """The chart of a card, which has room for one: of a week, if there is that."""
        return self.charts[min(1, len(self.charts) - 1)] if self.charts else None

    @property
    def runbook_link(self) -> str:
        """The runbook if it is a URL for browsers."""
        return self.runbook if self.runbook.lower().startswith(("http://", "https://")) else ""

    def uptime(self, period: str) -> str:
        """Return the percentage of this period; empty if there is none."""
        return next((percentage for name, percentage in self.uptimes if name == period), "")

    @property
    def is_of_this_run(self) -> bool:
        return not self.note

    @property
    def is_new(self) -> bool:
        """Whether it failed in this run for the first time."""
        return self.status.is_failure and self.runs == 1 and self.is_of_this_run

    @property
    def needs_attention(self) -> bool:
        return self.status.is_failure and not self.maintenance and not self.silence


def from_result(result: Result, past: CheckHistory | None, streak: Streak | None, snapshot: Snapshot) -> Card:
    """Return the card of a check that has a result in this run."""
    return Card(
        check=result.check,
        target=result.target,
        label=result.label,
        group=result.group,
        status=CardStatus(result.status.value),
        maintenance=result.maintenance,
        message=result.message,
        duration=None if result.status in (Status.SKIPPED, Status.BLOCKED) else result.duration,
        since=streak.since if streak else None,
        runs=streak.runs if streak else 0,
        checked_at=None,
        node=str(result.extras.get("nodeid", "")),
        reference=str(result.extras.get("reference", "")),
        metrics=result.metrics,
        runbook=result.runbook,
        silence=result.silence,
        **_past_fields(past, snapshot),
    )


def from_past(past: CheckHistory, snapshot: Snapshot) -> Card:
    """Return the card of a check without a result in this run: its last status and when that was."""
    last = past.recent[-1] if past.recent else None
    age = snapshot.now - last.time if last else 0.0
    interval = max(past.interval or 0.0, snapshot.usual_interval or UNKNOWN_INTERVAL)
    stale = last is not None and age > 2 * interval + snapshot.duration + 60
    cut = any(each.key == past.key for each in snapshot.pending)
    return Card(
        check=past.check,
        target=past.target,
        label=past.label,
        group=past.group,
        status=_past_status(last, is_stale=stale and not cut),
        maintenance=last.maintenance if last else False,
        message=last.message if last else "",
        duration=None,
        since=past.streak.since if past.streak else None,
        runs=past.streak.runs if past.streak else 0,
        checked_at=datetime.fromtimestamp(last.time, UTC) if last else None,
        note=_CUT_OFF if cut else "not in this run",
        is_cut_off=cut,
        reference=past.reference,
        metrics=_last_metrics(past),
        runbook=snapshot.runbooks.get(past.reference, ""),
        silence=snapshot.silences.find(past.reference, *past.key),
        **_past_fields(past, snapshot),
    )


def from_pending(pending: PendingCheck) -> Card:
    """Return the card of a check without any result, because the first run that had it was cut off."""
    return Card(
        pending.check, pending.target, pending.label, pending.group, CardStatus.NEVER, maintenance=False, message="",
        duration=None, since=None, runs=0, checked_at=None, note=_CUT_OFF, is_cut_off=True,
    )  # fmt: skip


def _past_status(last: Point | None, *, is_stale: bool) -> CardStatus:
    if last is None:
        return CardStatus.NEVER
    return CardStatus.STALE if is_stale else CardStatus(last.status.value)


def _past_fields(past: CheckHistory | None, snapshot: Snapshot) -> dict[str, Any]:
    if past is None:
        return {}
    main, now = past.metrics[0] if past.metrics else None, snapshot.now
    only_week = len(snapshot.history.checks) > MANY_CHECKS
    return {
        "recent": past.recent,
        "usual": past.usual,
        "uptimes": [(name_period(days), format_uptime(uptime)) for days, uptime in list_uptimes(past)],
        "charts": (main and draw_metric(main, now, only_week=only_week)) or draw_durations(past.recent, past.usual),
        "forecast": forecast_in_words(main, now) if main else "",
    }


def list_uptimes(past: CheckHistory) -> list[tuple[int, Uptime]]:
    """Return periods in days, without a longer one that has no more runs, which says nothing."""
    found: list[tuple[int, Uptime]] = []
    known = 0
    for days in UPTIME_DAYS:
        if past.uptimes[days].total > known:
            found.append((days, past.uptimes[days]))
        known = past.uptimes[days].total
    return found


def name_period(days: int) -> str:
    """Return "24 h", "7 d"."""
    return "24 h" if days == 1 else f"{days} d"


def _last_metrics(past: CheckHistory) -> list[Metric]:
    return [
        Metric(each.name, each.columns.values[-1], cast("Unit", each.unit), each.limit, each.lower_limit)
        for each in past.metrics
        if each.columns.values
    ]


def _list_readings(metrics: Iterable[Metric]) -> list[CardNumber]:
    return [make_reading(each) for each in metrics]


def make_reading(metric: Metric) -> CardNumber:
    """Return the metric in words."""
    return CardNumber(metric.name, metric_in_words(metric.value, metric.unit), _limits_in_words(metric))


def _limits_in_words(metric: Metric) -> str:
    parts = [] if metric.limit is None else [f"of {metric_in_words(metric.limit, metric.unit)}"]
    parts += [] if metric.lower_limit is None else [f"minimum {metric_in_words(metric.lower_limit, metric.unit)}"]
    return ", ".join(parts)


def format_uptime(uptime: Uptime) -> str:
    """Return "99.93 %": cut, not rounded, so that 100 % means no failure; one decimal place up to 90 %."""
    share = uptime.share
    if share is None:
        return "no data"
    if share == 1:
        return "100 %"
    digits = 2 if share > _FINE else 1
    return f"{uptime.passed * 100 * 10**digits // uptime.total / 10**digits:.{digits}f} %"
