"""Alerts of one run, from the first check-in to the last event delivered: what is decided, where it goes."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from healthchecks.plugin.alerting.alert import Past
from healthchecks.plugin.alerting.decision import Alerting, Limits, Round
from healthchecks.plugin.alerting.policy import Action, Key, Memory
from healthchecks.plugin.alerting.state import AlertState
from healthchecks.plugin.alerting.store import NAME, Reading, StateFile
from healthchecks.plugin.result import Result
from servermonitoring import threads
from servermonitoring.threads import bounded

if TYPE_CHECKING:
    from healthchecks.plugin.alerting.channels import Errand, Outlet
    from healthchecks.plugin.run import Run
    from servermonitoring.delivery.entries import Delivery


_LATELY = 86400.0  # seconds


def handed_over_before(count: int, directory: Path) -> str:
    """Return what the summary says of checks whose alert went out in an earlier run; `directory` is the state's."""
    refused = [each for each in directory.glob("spool/*/refused/*") if _age(each) < _LATELY]
    if not refused:
        return f"{count} told before"
    folders = ", ".join(sorted({str(each.parent) for each in refused}))
    were = f"{len(refused)} {'were' if len(refused) > 1 else 'was'}"
    return f"{count} handed over before, but of the last day {were} refused: see {folders}"


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return _LATELY


HOLD_UP = 5.0  # seconds that delivery may hold up the end of a run
_PATIENCE = 3.0  # seconds for the file of what was alerted, on a disk that does not answer
_PAST = 10  # runs of a check that its alert shows
_SUPPRESSED = {
    Action.MUTE: "{} in maintenance",
    Action.WAIT: "{} not yet failing often enough in a row",
    Action.RECOVERING: "{} recovering, not yet passing often enough in a row",
}


class Telling:
    """Without outlets nothing is decided nor remembered."""

    def __init__(self, run: "Run", outlets: "Sequence[Outlet]" = (), errands: "Sequence[Errand]" = ()) -> None:
        self.outlets, self._errands = outlets, [*outlets, *errands]
        self._run, self._settings = run, run.configuration.settings
        self._file = StateFile(run.directory)
        self._rounds: list[Round] = []
        self._in_memory: dict[str, list[tuple[Outlet, Delivery]]] = {}  # id of an alert → its copies

    def begin(self) -> None:
        for errand in self._errands:
            errand.begin()

    def tell(self, results: Iterable[Result]) -> None:
        """Hand what is due to the outlets, and remember it: in this order, since twice is better than never."""
        if not self.outlets:
            return
        now, reading = datetime.now(UTC), self._read()
        decided = self._alerting(reading.state, now).decide(results)
        waiting = self._hand_over(decided)
        if decided.changed or not reading.is_whole:
            self._remember(*decided.remembered(waiting), now, decided.recovered)
        self._rounds.append(decided)

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
        self._remember_what_left()

    def summary(self) -> list[str]:
        """A line for each errand that has something to say, and one of what was not told."""
        lines = [line for errand in self._errands if (line := errand.summary())]
        suppressed = ", ".join(self._suppressed())
        return [*lines, f"alerts not sent: {suppressed}"] if suppressed else lines

    def _read(self) -> Reading:
        try:
            reading = bounded(self._file.begin, _PATIENCE)
        except TimeoutError as error:
            reading = Reading(None, f"{NAME}: {error}", is_whole=False)
        if reading.error:
            then = "" if reading.state else "; all that fails is alerted"
            self._run.trouble("alerts", f"what was alerted cannot be read: {reading.error}{then}")
        return reading

    def _alerting(self, state: AlertState | None, now: datetime) -> Alerting:
        limits = Limits(self._settings.alerts.max_per_run, self._settings.alerts.max_per_day)
        return Alerting(limits, self._run.host, state, now, self._pasts())

    def _pasts(self) -> dict[tuple[str, str], list[Past]]:
        started = int(self._run.started.timestamp())
        return {
            each.key: [
                Past(point.moment, point.status, point.seconds) for point in each.recent if point.time < started
            ][: -_PAST - 1 : -1]
            for each in (self._run.memory.pasts if self._run.memory else ())
        }

    def _hand_over(self, decided: Round) -> list[str]:
        """Give back the ids of those that no outlet could write to its spool: they may yet be sent from memory."""
        waiting = []
        for alert in decided.alerts:
            copies = [(outlet, outlet.put(alert)) for outlet in self.outlets]
            if not any(copy and copy.content is None for _, copy in copies):
                self._in_memory[alert.id] = [(outlet, copy) for outlet, copy in copies if copy]
                waiting.append(alert.id)
        return waiting

    def _remember_what_left(self) -> None:
        """Of what could not be written, what was sent from memory: the rest is due again in the next run."""
        left = {event for event, copies in self._in_memory.items() if any(each.has_sent(copy) for each, copy in copies)}
        for decided in self._rounds:
            if sent := [alert.key for alert in decided.alerts if alert.id in left]:
                keys = {key for event in left for key in decided.unsent.get(event, ())}
                self._remember({key: decided.changed[key] for key in keys}, sent, datetime.now(UTC), {})

    def _remember(
        self, changed: Mapping[Key, Memory | None], sent: Sequence[Key], now: datetime, recovered: Mapping[str, float]
    ) -> None:
        def change(state: AlertState) -> None:
            state.resolutions |= recovered if self._settings.sentry.token else {}
            state.change(changed, sent, now.timestamp())

        try:
            bounded(partial(self._file.change, change), _PATIENCE)
        except OSError as error:
            self._run.trouble("alerts", f"what was alerted cannot be kept, so it is alerted again: {error}")

    def _suppressed(self) -> Iterator[str]:
        if count := sum(each.told.actions[Action.QUIET] for each in self._rounds):
            yield handed_over_before(count, self._run.directory)
        for action, text in _SUPPRESSED.items():
            if count := sum(each.told.actions[action] for each in self._rounds):
                yield text.format(count)
        if count := sum(each.told.kept_back for each in self._rounds):
            yield f"{count} kept back by the limit of the day"
