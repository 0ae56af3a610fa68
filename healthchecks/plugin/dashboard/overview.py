"""The overview of the page: a card for each check, in their order, and the headline."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from healthchecks.plugin.anchor import make_anchor
from healthchecks.plugin.dashboard.snapshot import UNKNOWN_INTERVAL, PendingCheck, Snapshot
from healthchecks.plugin.history import CheckHistory, Point, Streak, Uptime
from healthchecks.plugin.history.queries import UPTIME_DAYS
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.wording import CardStatus, make_headline, rank

_LABEL_END = re.compile(r"[\[:/]")
_CUT_OFF = "the run was cut off"
_FINE = 0.9  # uptimes above it have two decimal places
_MANY = 60  # checks; above it the ok ones have short cards
_MANY_FAILURES = 6


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

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.target

    @cached_property
    def id(self) -> str:
        """For links and file names: check-CHECK-TARGET."""
        return make_anchor(self.check, self.target)

    @cached_property
    def heading(self) -> str:
        """The group of the target, or else its kind."""
        kind, dot, _ = self.reference.partition(".")
        return self.group or (kind if dot else _LABEL_END.split(self.label)[0]).replace("_", " ")

    @property
    def subject(self) -> str:
        """The check in words: "website access"; empty where the label has them."""
        words = self.check.replace("_", " ")
        return "" if self.label.startswith(self.check) else words

    @property
    def is_of_this_run(self) -> bool:
        return not self.note

    @property
    def needs_attention(self) -> bool:
        return self.status.is_failure and not self.maintenance


@dataclass(frozen=True)
class Overview:
    """All checks of the page."""

    cards: Sequence[Card]
    cut_off: int | None = None
    """How many checks have no result because the run was cut off; None if it was not."""

    @cached_property
    def failures(self) -> list[Card]:
        """The failures outside maintenance."""
        return [each for each in self.cards if each.needs_attention]

    @property
    def headline(self) -> str:
        if self.cut_off and not self.failures:
            return f"Cut off: {self.cut_off} of {len(self.cards)} checks have no result"
        line = make_headline(self.cards)
        return line if self.cut_off is None else f"{line}; the run was cut off"

    @property
    def mood(self) -> str:
        """The colour of the page: ok, warning or failed."""
        if self.failures:
            return "failed"
        has_unclear = any(each.status in _UNCLEAR for each in self.cards)
        has_recent = any(each.status.is_recent for each in self.cards)
        return "warning" if self.cut_off is not None or has_unclear or not has_recent else "ok"

    @property
    def has_many_failures(self) -> bool:
        """Whether failures are grouped by message, since a large outage has few causes."""
        return len(self.failures) > _MANY_FAILURES

    @property
    def has_many_checks(self) -> bool:
        return len(self.cards) > _MANY

    def group_failures(self) -> list[list[Card]]:
        """Return the failures with the same message since the same run together, the largest group first."""
        found: dict[object, list[Card]] = {}
        for each in self.failures:
            found.setdefault((each.message, each.since), []).append(each)
        return sorted(found.values(), key=len, reverse=True)

    def groups(self) -> Mapping[str, list[Card]]:
        """Return the cards that are not among the failures above, by heading."""
        groups: dict[str, list[Card]] = {}
        for each in self.cards:
            groups.setdefault(each.heading, [])
            if self.has_many_failures or not each.needs_attention:
                groups[each.heading].append(each)
        for cards in groups.values():
            cards.sort(key=lambda each: (not each.needs_attention, each.is_of_this_run, rank(each.status)))
        return groups


_UNCLEAR = (CardStatus.BLOCKED, CardStatus.STALE, CardStatus.NEVER)


def make_overview(snapshot: Snapshot) -> Overview:
    """Return the checks of this run, then the configured ones without a result in it."""
    checks = {each.key: each for each in snapshot.history.checks}
    streaks = snapshot.history.streaks
    results = [each for each in snapshot.results if not _is_unconfigured(each.status, each.message)]
    cards = [_from_result(each, checks.get(each.key), streaks.get(each.key)) for each in results]
    known = {each.key for each in snapshot.results}
    others = [each for each in checks.values() if each.key not in known and not _is_gone(each, snapshot)]
    cards += [_from_past(each, snapshot) for each in others]
    known |= {each.key for each in others}
    cards += [_from_pending(each) for each in snapshot.pending if each.key not in known]
    return Overview(_sort(cards), len(snapshot.pending) if snapshot.interrupted else None)


def _is_unconfigured(status: Status, message: str) -> bool:
    """Return whether the result stands for a kind without a target: "no [website.NAME] in …"."""
    return status is Status.SKIPPED and message.startswith("no [")


def list_unconfigured(results: Iterable[Result]) -> list[str]:
    """Return the kinds without a target: "[website.NAME]"."""
    found = (each.message.split()[1] for each in results if _is_unconfigured(each.status, each.message))
    return sorted(set(found))


def _is_gone(past: CheckHistory, snapshot: Snapshot) -> bool:
    last = past.recent[-1] if past.recent else None
    if last and _is_unconfigured(last.status, last.message):
        return True
    return bool(past.reference) and snapshot.is_gone(past.reference)


def _sort(cards: Iterable[Card]) -> list[Card]:
    """Return failures first, the newest of them on top."""

    def key(card: Card) -> tuple[bool, float]:
        since = card.since.timestamp() if card.needs_attention and card.since else 0
        return not card.needs_attention, -since

    return sorted(cards, key=key)


def _from_result(result: Result, past: CheckHistory | None, streak: Streak | None) -> Card:
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
        **_past_fields(past),
    )


def _from_past(past: CheckHistory, snapshot: Snapshot) -> Card:
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
        **_past_fields(past),
    )


def _from_pending(pending: PendingCheck) -> Card:
    """Return the card of a check without any result, because the first run that had it was cut off."""
    return Card(
        pending.check, pending.target, pending.label, pending.group, CardStatus.NEVER, maintenance=False, message="",
        duration=None, since=None, runs=0, checked_at=None, note=_CUT_OFF, is_cut_off=True,
    )  # fmt: skip


def _past_status(last: Point | None, *, is_stale: bool) -> CardStatus:
    if last is None:
        return CardStatus.NEVER
    return CardStatus.STALE if is_stale else CardStatus(last.status.value)


def _past_fields(past: CheckHistory | None) -> dict[str, Any]:
    if past is None:
        return {}
    named = zip(("24 h", *(f"{days} d" for days in UPTIME_DAYS[1:])), UPTIME_DAYS, strict=True)
    percentages, known = [], 0
    for name, days in named:
        uptime = past.uptimes[days]  # a longer period without more runs says nothing
        percentages.append((name, format_uptime(uptime) if uptime.total > known else "no data"))
        known = uptime.total
    return {"recent": past.recent, "usual": past.usual, "uptimes": percentages}


def format_uptime(uptime: Uptime) -> str:
    """Return "99.93 %": cut, not rounded, so that 100 % means no failure; one decimal place up to 90 %."""
    share = uptime.share
    if share is None:
        return "no data"
    if share == 1:
        return "100 %"
    digits = 2 if share > _FINE else 1
    return f"{uptime.passed * 100 * 10**digits // uptime.total / 10**digits:.{digits}f} %"
