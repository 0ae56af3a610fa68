"""The overview of the page: a card for each check, in their order, and the headline."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from healthchecks.plugin.dashboard.card import Card, from_past, from_pending, from_result
from healthchecks.plugin.dashboard.peer_group import PeerGroup, make_groups
from healthchecks.plugin.dashboard.snapshot import Snapshot
from healthchecks.plugin.history import CheckHistory
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.wording import CardStatus, make_headline, rank

_MANY = 20  # checks; above it their rows have two columns
_MANY_FAILURES = 6
OTHER_CHECKS = "other checks"


class Cause(NamedTuple):
    """Failures with the same message."""

    message: str
    cards: Sequence[Card]
    new: int
    """How many of them failed in this run for the first time."""
    since: Sequence[datetime]
    """The start of the first and of the last of the others, or of all of them; empty if all are new."""


@dataclass(frozen=True)
class Overview:
    """All checks of the page, and other servers with theirs."""

    cards: Sequence[Card]
    cut_off: int | None = None
    """How many checks have no result because the run was cut off; None if it was not."""
    peers: Sequence[PeerGroup] = ()
    """Other servers; their checks do not count."""

    @cached_property
    def failures(self) -> list[Card]:
        """The failures, without those in maintenance and those silenced."""
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
        return len(self.cards) + sum(len(each.rows) for each in self.peers) > _MANY

    def causes(self) -> list[Cause]:
        """Return the failures with the same message together, the largest group first."""
        found: dict[str, list[Card]] = {}
        for each in self.failures:
            found.setdefault(each.message, []).append(each)
        return sorted((_make_cause(each) for each in found.values()), key=lambda each: -len(each.cards))

    def groups(self) -> Mapping[str, list[Card]]:
        """Return the cards that are not among the failures above, by heading; each group has one at least."""
        groups: dict[str, list[Card]] = {}
        for each in self.cards:
            groups.setdefault(each.heading, []).append(each)
        found: dict[str, list[Card]] = {}
        for heading, cards in groups.items():
            is_other = len(cards) == 1 and cards[0].has_own_heading
            shown = [each for each in cards if self.has_many_failures or not each.needs_attention]
            if shown:
                found.setdefault(OTHER_CHECKS if is_other else heading, []).extend(shown)
        for cards in found.values():
            cards.sort(key=lambda each: (not each.needs_attention, each.is_of_this_run, rank(each.status)))
        return dict(sorted(found.items(), key=lambda item: item[0] == OTHER_CHECKS))


def _make_cause(cards: Sequence[Card]) -> Cause:
    new = [each for each in cards if each.is_new]
    since = sorted({each.since for each in cards if each.since and not each.is_new})
    return Cause(cards[0].message, cards, len(new), [since[0], since[-1]] if since[1:] else since)


_UNCLEAR = (CardStatus.BLOCKED, CardStatus.STALE, CardStatus.NEVER)


def make_overview(snapshot: Snapshot) -> Overview:
    """Return the checks of this run, then the configured ones without a result in it."""
    checks = {each.key: each for each in snapshot.history.checks}
    streaks = snapshot.history.streaks
    results = [each for each in snapshot.results if not _is_unconfigured(each.status, each.message)]
    cards = [from_result(each, checks.get(each.key), streaks.get(each.key), snapshot) for each in results]
    known = {each.key for each in snapshot.results}
    others = [each for each in checks.values() if each.key not in known and not _is_gone(each, snapshot)]
    cards += [from_past(each, snapshot) for each in others]
    known |= {each.key for each in others}
    cards += [from_pending(each) for each in snapshot.pending if each.key not in known]
    cut_off = len(snapshot.pending) if snapshot.interrupted else None
    return Overview(_sort(cards), cut_off, make_groups(snapshot, cards))


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
