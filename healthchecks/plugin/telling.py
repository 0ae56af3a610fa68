"""Alerts of one run, from the first check-in to the last event delivered: what is decided, where it goes."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from healthchecks.plugin import troubles
from healthchecks.plugin.alerting.deciding import Alerting, Limits, Round
from healthchecks.plugin.alerting.memory import Memories
from healthchecks.plugin.alerting.policy import Action
from healthchecks.plugin.bounded import bounded
from healthchecks.plugin.refusals import handed_over_before
from healthchecks.plugin.result import Result
from healthchecks.plugin.sinks import history
from servermonitoring import threads

if TYPE_CHECKING:
    from healthchecks.plugin.errands import Errand, Outlet
    from healthchecks.plugin.run import Run

HOLD_UP = 5.0  # seconds that delivery may hold up the end of a run
_SUPPRESSED = {
    Action.MUTE: "{} in maintenance",
    Action.WAIT: "{} not yet failing often enough in a row",
}


class Telling:
    """Without outlets nothing is decided nor remembered."""

    def __init__(self, run: "Run", outlets: "Sequence[Outlet]" = (), errands: "Sequence[Errand]" = ()) -> None:
        self.outlets, self._errands = outlets, [*outlets, *errands]
        self._run, self._settings = run, run.configuration.settings
        self._rounds: list[Round] = []

    def begin(self) -> None:
        for errand in self._errands:
            errand.begin()

    def tell(self, results: Iterable[Result]) -> None:
        """Hand what is due to the outlets, and remember it: in this order, since twice is better than never."""
        if not self.outlets:
            return
        results, now = list(results), datetime.now(UTC)
        try:
            decided = bounded(partial(self._decide, results, now), HOLD_UP)
        except (OSError, sqlite3.Error) as error:
            self._run.trouble("alerts", f"what was told cannot be read, so all that fails is told: {error}")
            self._hand_over(self._alerting(None, now).decide(results))
            return
        self._hand_over(decided)
        try:
            bounded(partial(self._remember, decided, now), HOLD_UP)
        except (OSError, sqlite3.Error) as error:
            self._run.trouble("alerts", f"what was told cannot be kept, so it will be told again: {error}")

    def deliver(self, exitstatus: int) -> None:
        """Send what can be sent within HOLD_UP; the rest waits for the next run."""
        ends_at = time.monotonic() + HOLD_UP
        started = []
        for errand in self._errands:
            if thread := threads.start(errand.end, exitstatus, ends_at, name="healthchecks-deliver"):
                started.append(thread)
            else:
                errand.end(exitstatus, ends_at)
        for thread in started:
            thread.join(max(0.0, ends_at - time.monotonic()) + 0.1)

    def summary(self) -> list[str]:
        """A line for each errand that has something to say, and one of what was not told."""
        lines = [line for errand in self._errands if (line := errand.summary())]
        suppressed = ", ".join(self._suppressed())
        return [*lines, f"alerts not sent: {suppressed}"] if suppressed else lines

    def _decide(self, results: list[Result], now: datetime) -> Round:
        with history.opened(self._run.directory, self._settings.history.days) as opened:
            troubles.tell_put_aside(self._run, opened)
            return self._alerting(Memories(opened), now).decide(results)

    def _alerting(self, memories: Memories | None, now: datetime) -> Alerting:
        limits = Limits(self._settings.alerts.storm, self._settings.alerts.per_day)
        return Alerting(limits, self._run.host, memories, now)

    def _hand_over(self, decided: Round) -> None:
        for alert in decided.alerts:
            for outlet in self.outlets:
                outlet.put(alert)
        self._rounds.append(decided)

    def _remember(self, decided: Round, now: datetime) -> None:
        days = self._settings.history.days
        with history.opened(self._run.directory, days) as opened:
            memories = Memories(opened)
            memories.save(decided.changed, decided.sent, now.timestamp(), days)
            if self._settings.sentry.token:
                memories.change_resolutions(decided.recovered, [])

    def _suppressed(self) -> Iterator[str]:
        if count := sum(each.told.actions[Action.QUIET] for each in self._rounds):
            yield handed_over_before(count, self._run.directory)
        for action, text in _SUPPRESSED.items():
            if count := sum(each.told.actions[action] for each in self._rounds):
                yield text.format(count)
        if count := sum(each.told.kept_back for each in self._rounds):
            yield f"{count} kept back by the limit of the day"
