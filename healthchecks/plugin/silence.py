"""Silence of a target or a check: nobody is alerted until it ends, by time, by recovery or by command."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

_TOLERANCE = 60.0  # seconds that the clock may have been set back since a silence began


def name_of_check(check: str, target: str) -> str:
    """Return the name of one check of one target: website_access[home]."""
    return f"{check}[{target}]" if target else check


@dataclass(frozen=True)
class Silence:
    """What a person has asked for. Times are unix seconds; no text in it holds a secret."""

    name: str
    """A target (website.home), a check of your own (backup) or one check of a target (website_access[home])."""
    until: float
    began: float
    user: str
    reason: str = ""
    failing: Mapping[str, int] = field(default_factory=dict)
    """Its checks that failed since it began and have not recovered, with their passing runs in a row since."""

    def is_open(self, now: float) -> bool:
        """Return whether it is in force. One that begins in the future is not: the clock was ahead then."""
        return self.began - _TOLERANCE <= now < self.until

    @property
    def moment(self) -> datetime:
        """Its end, in UTC."""
        return datetime.fromtimestamp(self.until, UTC)

    @property
    def ends(self) -> str:
        """Its end for people, in local time: "2026-11-30 20:04 CET"."""
        return self.moment.astimezone().strftime("%Y-%m-%d %H:%M %Z")

    def __str__(self) -> str:
        return f"{self.name} until {self.ends}, {self.origin}"

    @property
    def origin(self) -> str:
        """Who silenced it and why: "by bob: certificate change"."""
        return f"by {self.user}: {self.reason}" if self.reason else f"by {self.user}"


class Silences:
    """The silences in force, by name."""

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self._by_name = {each.name: each for each in silences}

    def __iter__(self) -> Iterator[Silence]:
        return iter(self._by_name.values())

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, reference: str, check: str, target: str) -> Silence | None:
        """Return the silence of a check, by the reference of its target or by its own name; the longest of several."""
        if not self._by_name:
            return None
        found = [self._by_name.get(name) for name in (reference, name_of_check(check, target))]
        return max((each for each in found if each), key=lambda each: each.until, default=None)

    @cached_property
    def summary(self) -> str:
        """All of them in one line, the first to end first."""
        ordered = sorted(self, key=lambda each: each.until)
        more = f"; and {len(ordered) - _MOST_SHOWN} more" if len(ordered) > _MOST_SHOWN else ""
        return "; ".join(map(str, ordered[:_MOST_SHOWN])) + more


_MOST_SHOWN = 5  # silences in one line
