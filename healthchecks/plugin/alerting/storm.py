"""What a whole run may send: a storm is told in one message, and a day has its limit."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from healthchecks.plugin.alerting.policy import Action, Key

_ORDER = (Action.ALERT, Action.CHANGED, Action.REMINDER)


@dataclass(frozen=True)
class Plan:
    """Which of the due events are sent, which a summary tells of, and which the day's limit keeps back."""

    sent: Sequence[Key]
    summarized: Sequence[Key]
    kept_back: Sequence[Key]


def plan(due: Iterable[tuple[Key, Action]], sent_today: Collection[Key], *, max_per_run: int, max_per_day: int) -> Plan:
    """`sent_today` names the key of each event of the last 24 hours. A limit of 0 is none.

    New failures come first, each in the run's order. The day's limit never keeps back the first alert of a day
    about a key: every failure is told.
    """
    told_today = set(sent_today)
    ordered = sorted(due, key=lambda each: _ORDER.index(each[1]))
    sent: list[Key] = []
    kept_back: list[Key] = []
    for key, _ in ordered:
        full = max_per_day and len(sent_today) + len(sent) >= max_per_day and key in told_today
        (kept_back if full else sent).append(key)
    if not max_per_run or len(sent) <= max_per_run:
        return Plan(sent, (), kept_back)
    return Plan(sent[:max_per_run], sent[max_per_run:], kept_back)
