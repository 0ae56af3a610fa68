"""One check on the page."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healthchecks.plugin.dashboard.snapshot import UNKNOWN_INTERVAL, Situation, Unjudged
from healthchecks.plugin.history import Course, Past, Point, Uptime
from healthchecks.plugin.history.models import kind_of
from healthchecks.plugin.history.queries import UPTIME_DAYS
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.wording import State

_LONGEST_ID = 100  # bytes, since it is the name of a file, too
_WITH_SUM = re.compile(r"-[0-9a-f]{8}$")
CUT_OFF = "the run was cut off"
_FINE = 0.9  # an uptime above which hundredths of a per cent tell something


@dataclass(frozen=True)
class Card:
    """What is shown of one check; texts are as they came, the template escapes them."""

    check: str
    target: str
    label: str
    group: str
    state: State
    maintenance: bool
    message: str
    seconds: float | None
    since: datetime | None
    runs: int
    """In a row in this state."""
    checked_at: datetime | None
    """When, if not in this run."""
    note: str = ""
    """Why what is shown is not of this run."""
    is_cut_off: bool = False
    """It was to be judged in this run, and was not."""
    recent: Sequence[Point] = ()
    usual: tuple[float, float] | None = None
    uptimes: Sequence[tuple[str, str]] = ()
    """Over how long, and in per cent."""
    node: str = ""
    """Pytest's id of the test in this run."""
    reference: str = ""
    """As `needs` names its target: website.home."""

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target

    @property
    def id(self) -> str:
        """For links that are sent to colleagues, and names of files: readable, and another one for each check.

        Only of a name that could be no other's, CHECK-TARGET, it is all; else a sum makes it the check's own.
        """
        name = f"{self.check}-{self.target}" if self.target else self.check
        readable = re.sub(r"[^\w.-]+", "-", name).encode()[:_LONGEST_ID].decode(errors="ignore")
        if readable == name and "-" not in self.check and not _WITH_SUM.search(name):
            return f"check-{name}"
        return f"check-{readable}-{zlib.crc32(repr(self.key).encode()):08x}"

    @property
    def heading(self) -> str:
        """The group it stands in: its own, or its kind."""
        kind, dot, _ = self.reference.partition(".")
        return self.group or (kind if dot else re.split(r"[\[:/]", self.label)[0]).replace("_", " ")

    @property
    def subject(self) -> str:
        """What of the target is checked: "website access"; nothing where the label says it."""
        words = self.check.replace("_", " ")
        return "" if self.label.startswith(self.check) else words

    @property
    def is_of_this_run(self) -> bool:
        return not self.note

    @property
    def fails(self) -> bool:
        """What somebody has to look at now."""
        return self.state.is_failure and not self.maintenance


def of_result(result: Result, past: Past | None, course: Course | None) -> Card:
    """A check that was judged in this run."""
    never = result.status is Status.SKIPPED and not (past and any(kind_of(each.status) for each in past.recent))
    return Card(
        check=result.check,
        target=result.target,
        label=result.label,
        group=result.group,
        state=State.SKIPPED if never else State(result.status.value),
        maintenance=result.maintenance,
        message=result.message,
        seconds=None if result.status in (Status.SKIPPED, Status.BLOCKED) else result.seconds,
        since=course.since if course else None,
        runs=course.runs if course else 0,
        checked_at=None,
        node=str(result.extras.get("nodeid", "")),
        reference=str(result.extras.get("reference", "")),
        **_of_past(past),
    )


def of_past(past: Past, situation: Situation) -> Card:
    """A check that was not in this run, or was cut off: its last state, with its age."""
    last = past.recent[-1] if past.recent else None
    age = situation.now - last.time if last else 0.0
    interval = max(past.interval or 0.0, situation.usual_interval or UNKNOWN_INTERVAL)
    stale = last is not None and age > 2 * interval + situation.seconds + 60
    cut = any(each.key == past.key for each in situation.unjudged)
    return Card(
        check=past.check,
        target=past.target,
        label=past.label,
        group=past.group,
        state=State.NEVER if last is None else State.STALE if stale and not cut else State(last.status.value),
        maintenance=last.maintenance if last else False,
        message=last.message if last else "",
        seconds=None,
        since=past.course.since if past.course else None,
        runs=past.course.runs if past.course else 0,
        checked_at=datetime.fromtimestamp(last.time, UTC) if last else None,
        note=CUT_OFF if cut else "not in this run",
        is_cut_off=cut,
        reference=past.reference,
        **_of_past(past),
    )


def of_unjudged(unjudged: Unjudged) -> Card:
    """A check that was never judged, because the first run that had it was cut off."""
    return Card(
        unjudged.check, unjudged.target, unjudged.label, unjudged.group, State.NEVER, maintenance=False, message="",
        seconds=None, since=None, runs=0, checked_at=None, note=CUT_OFF, is_cut_off=True,
    )  # fmt: skip


def _of_past(past: Past | None) -> dict[str, Any]:
    if past is None:
        return {}
    named = zip(("24 h", *(f"{days} d" for days in UPTIME_DAYS[1:])), UPTIME_DAYS, strict=True)
    figures, known = [], 0
    for name, days in named:
        uptime = past.uptimes[days]  # of a longer time it says nothing, where the shorter one had it all
        figures.append((name, percent(uptime) if uptime.judged > known else "no data"))
        known = uptime.judged
    return {"recent": past.recent, "usual": past.usual, "uptimes": figures}


def percent(uptime: Uptime) -> str:
    """As "99.93 %": cut and not rounded, so that 100 % means never; two digits only where they tell something."""
    share = uptime.share
    if share is None:
        return "no data"
    if share == 1:
        return "100 %"
    digits = 2 if share > _FINE else 1
    return f"{uptime.well * 100 * 10**digits // uptime.judged / 10**digits:.{digits}f} %"
