"""From a run and its past to what the page shows, in the order in which it shows it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from healthchecks.plugin.dashboard import cards as card
from healthchecks.plugin.dashboard.cards import Card
from healthchecks.plugin.dashboard.snapshot import Situation
from healthchecks.plugin.history import Past
from healthchecks.plugin.result import Result, Status
from healthchecks.plugin.wording import State, in_one_line

_ORDER = list(State)
_MANY = 60  # checks: from there on the well ones are shown in short
_MANY_FAILING = 6


@dataclass(frozen=True)
class Overview:
    """All checks that the page shows."""

    cards: Sequence[Card]
    cut_off: int | None = None
    """How many checks were not judged because the run was cut off; None for one that was not."""

    @property
    def failing(self) -> list[Card]:
        return [each for each in self.cards if each.fails]

    @property
    def judged(self) -> list[Card]:
        """Those that the headline counts."""
        return [each for each in self.cards if each.state not in (State.SKIPPED, State.STALE, State.NEVER)]

    @property
    def headline(self) -> str:
        """The line that says it all."""
        in_maintenance = sum(each.state.is_failure and each.maintenance for each in self.judged)
        line = in_one_line(len(self.judged), len(self.failing), self.count(State.BLOCKED), in_maintenance)
        if self.cut_off and not self.failing:
            return f"Cut off: {self.cut_off} of {len(self.cards)} checks were not judged"
        return line if self.cut_off is None else f"{line}; the run was cut off"

    @property
    def mood(self) -> str:
        """Of the whole page, for its colour."""
        if self.failing:
            return "failing"
        return (
            "warning"
            if self.cut_off is not None or self.count(State.BLOCKED, State.STALE, State.NEVER) or not self.judged
            else "well"
        )

    def count(self, *states: State) -> int:
        return sum(each.state in states for each in self.cards)

    @property
    def are_many_failing(self) -> bool:
        """Too many for each to be shown apart: a great outage has few reasons."""
        return len(self.failing) > _MANY_FAILING

    @property
    def are_many(self) -> bool:
        return len(self.cards) > _MANY

    def alike(self) -> list[list[Card]]:
        """Those that fail for the same reason since the same run, the largest number first."""
        found: dict[object, list[Card]] = {}
        for each in self.failing:
            found.setdefault((each.message, each.since), []).append(each)
        return sorted(found.values(), key=len, reverse=True)

    def groups(self) -> Mapping[str, list[Card]]:
        """What is not shown as failing above, under its headings, in the order of the checks."""
        groups: dict[str, list[Card]] = {}
        for each in self.cards:
            groups.setdefault(each.heading, [])
            if self.are_many_failing or not each.fails:
                groups[each.heading].append(each)
        for cards in groups.values():
            cards.sort(key=lambda each: (not each.fails, each.is_of_this_run, _ORDER.index(each.state)))
        return groups


def overview(situation: Situation) -> Overview:
    """The checks of this run, then those that were not in it and are still configured."""
    pasts = {each.key: each for each in situation.memory.pasts}
    courses = situation.memory.courses
    results = [each for each in situation.results if not is_unconfigured(each.status, each.message)]
    cards = [card.of_result(each, pasts.get(each.key), courses.get(each.key)) for each in results]
    known = {each.key for each in situation.results}
    others = [each for each in pasts.values() if each.key not in known and not _is_over(each, situation)]
    cards += [card.of_past(each, situation) for each in others]
    known |= {each.key for each in others}
    cards += [card.of_unjudged(each) for each in situation.unjudged if each.key not in known]
    return Overview(_failing_first(cards), len(situation.unjudged) if situation.interrupted else None)


def is_unconfigured(status: Status, message: str) -> bool:
    """Whether this stands for a kind of which the configuration has no target: "no [website.NAME] in …"."""
    return status is Status.SKIPPED and message.startswith("no [")


def unconfigured(results: Iterable[Result]) -> list[str]:
    """The tables that the configuration does not have."""
    found = (each.message.split()[1] for each in results if is_unconfigured(each.status, each.message))
    return sorted(set(found))


def _is_over(past: Past, situation: Situation) -> bool:
    last = past.recent[-1] if past.recent else None
    if last and is_unconfigured(last.status, last.message):
        return True
    return bool(past.reference) and situation.is_gone(past.reference)


def _failing_first(cards: Iterable[Card]) -> list[Card]:
    """Failing ones first, those that began last before the others: they are what somebody looks for."""
    return sorted(
        cards, key=lambda each: (not each.fails, -(each.since.timestamp() if each.fails and each.since else 0))
    )
