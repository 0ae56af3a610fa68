"""A group of the page for each peer: its checks as its last status.json has them, and how old that is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from healthchecks.plugin.anchor import make_anchor
from healthchecks.plugin.dashboard.card import Card, CardNumber, format_uptime, make_reading, name_period
from healthchecks.plugin.dashboard.run_charts import draw_colours
from healthchecks.plugin.dashboard.snapshot import Snapshot
from healthchecks.plugin.history import Uptime
from healthchecks.plugin.peer import PeerCheck, PeerRecord
from healthchecks.plugin.wording import CardStatus
from servermonitoring.values import counted, duration_in_words

_MOST_ROWS = 2_000  # of all peers
_LEAST_ROWS = 5  # of each
_MANY_ROWS = 60  # of all peers, above which those that need nobody's attention are folded


@dataclass(frozen=True)
class PeerRow:
    """What the page shows of one check of a peer; the template escapes the texts."""

    check: PeerCheck
    link: str
    """To the check on the page of the peer."""

    @property
    def status(self) -> CardStatus:
        return CardStatus(self.check.status)

    @property
    def maintenance(self) -> bool:
        return self.check.maintenance

    @property
    def silence(self) -> bool:
        return self.check.is_silenced

    @property
    def bars(self) -> Markup:
        return draw_colours(self.check.recent)

    @property
    def reading(self) -> CardNumber:
        """The main metric, or else the duration."""
        metric = self.check.metric
        return make_reading(metric) if metric else CardNumber("duration", duration_in_words(self.check.duration))

    def uptime(self, period: str) -> str:
        """Return the percentage of this period; empty if there is none."""
        found = (Uptime(passed, total) for days, passed, total in self.check.uptimes if name_period(days) == period)
        return next(map(format_uptime, found), "")


@dataclass(frozen=True)
class PeerGroup:
    """One peer."""

    name: str
    """The NAME of [peer.NAME]."""
    record: PeerRecord
    card: Card | None
    """Of this server's check of the peer."""
    now: float
    """Unix seconds."""
    most_rows: int
    is_folded: bool
    """Whether a click shows the rows that need nobody's attention."""

    @property
    def age(self) -> float | None:
        """Seconds since its last run; None if it never had a status.json."""
        return None if self.record.generated is None else max(0.0, self.now - self.record.generated)

    @property
    def is_silent(self) -> bool:
        """Whether its checks are those of an earlier time: shown in grey."""
        return self.record.is_silent or self.is_old

    @property
    def is_old(self) -> bool:
        return self.age is None or self.age > self.record.max_age

    @property
    def problem(self) -> str:
        """Why this server's check of the peer does not pass."""
        return self.card.message if self.card and self.card.status.is_failure else ""

    @cached_property
    def rows(self) -> Sequence[PeerRow]:
        link = self.record.link
        return [PeerRow(each, f"{link}#{make_anchor(each.check, each.target)}") for each in self._shown]

    @property
    def has_failures(self) -> bool:
        return any(each.check.needs_attention for each in self.rows)

    @cached_property
    def open_rows(self) -> list[PeerRow]:
        return [each for each in self.rows if each.check.needs_attention or not self.is_folded]

    @cached_property
    def folded_rows(self) -> list[PeerRow]:
        return [each for each in self.rows if self.is_folded and not each.check.needs_attention]

    @property
    def left_out(self) -> int:
        return self.total - len(self._shown)

    @property
    def total(self) -> int:
        return sum(count for _, count in self.record.counts)

    @property
    def summary(self) -> str:
        """Its checks in words: "20 checks: 1 failed, 19 ok"."""
        counts = {CardStatus(status): count for status, count in self.record.counts}
        words = ", ".join(f"{counts[each]} {each.word}" for each in CardStatus if each in counts)
        return f"{counted(self.total, 'check')}{f': {words}' if words else ''}"

    @property
    def _shown(self) -> Sequence[PeerCheck]:
        return self.record.checks[: self.most_rows]


def make_groups(snapshot: Snapshot, cards: Iterable[Card]) -> list[PeerGroup]:
    """Return the peers, those that need attention first."""
    by_reference = {each.reference: each for each in cards}
    peers = snapshot.peers
    most = max(_LEAST_ROWS, _MOST_ROWS // max(1, len(peers)))
    is_folded = sum(min(most, len(each.checks)) for each in peers.values()) > _MANY_ROWS
    now = snapshot.now + snapshot.duration
    groups = [
        PeerGroup(name.partition(".")[2], record, by_reference.get(name), now, most, is_folded)
        for name, record in peers.items()
    ]
    return sorted(groups, key=lambda each: (not each.is_silent, not each.has_failures))
