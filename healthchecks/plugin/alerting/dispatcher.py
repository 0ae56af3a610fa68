"""Alerts of one run, from the first check-in to the last event delivered."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from healthchecks.plugin.alerting.alert import EarlierResult, linked
from healthchecks.plugin.alerting.decision import AlertRound, AlertSelection, Decider, EarlierResults
from healthchecks.plugin.alerting.policy import Action, Incident, Key
from healthchecks.plugin.alerting.state import AlertState, LastKill
from healthchecks.plugin.alerting.store import NAME, Reading, StateFile
from healthchecks.plugin.result import Result
from servermonitoring import clock, threads
from servermonitoring.delivery import SECONDS_AT_END
from servermonitoring.delivery.alert_filter import KILLED_BROWSER
from servermonitoring.threads import bounded

if TYPE_CHECKING:
    from healthchecks.plugin.alerting.channels import AlertInputs, Channel, Connections, OnError
    from healthchecks.plugin.history import CheckHistory
    from servermonitoring.delivery.spool import SpoolEntry


_LATELY = 86400.0  # seconds


def sent_before(count: int, directory: Path) -> str:
    """Return the summary's text about checks that were alerted in an earlier run; `directory` is the state's."""
    refused = [each for each in directory.glob("spool/*/refused/*") if _age(each) < _LATELY]
    if not refused:
        return f"{count} alerted before"
    folders = ", ".join(sorted({str(each.parent) for each in refused}))
    were = f"{len(refused)} {'were' if len(refused) > 1 else 'was'}"
    return f"{count} alerted before, of which {were} refused within the last day: see {folders}"


def _age(path: Path) -> float:
    try:
        return clock.time() - path.lstat().st_mtime
    except OSError:
        return _LATELY


_PATIENCE = 3.0  # seconds for the file of what was alerted, on a disk that does not respond
_MOST_EARLIER = 10  # results of a check that its alert shows
_NOT_SENT = {
    Action.MUTED: "{} in maintenance or silenced",
    Action.DEFERRED: "{} below failure_threshold",
    Action.RECOVERING: "{} recovering, below success_threshold",
}


class Dispatcher:
    """Hands alerts to the channels. Without channels nothing is decided or stored."""

    def __init__(self, inputs: "AlertInputs", connections: "Connections", on_error: "OnError") -> None:
        self.channels: Sequence[Channel] = connections.channels
        self._heartbeats = connections.heartbeats
        self._tasks = [*connections.channels, *connections.tasks, *connections.heartbeats]
        self._inputs, self._on_error = inputs, on_error
        self._file = StateFile(inputs.directory)
        self._rounds: list[AlertRound] = []
        self._in_memory: dict[str, list[tuple[Channel, SpoolEntry]]] = {}  # id of an alert → its copies

    def begin(self) -> None:
        for task in self._tasks:
            task.begin()

    def dispatch(
        self, results: Iterable[Result], checks: "Iterable[CheckHistory]" = (), *, with_kills: bool = False
    ) -> None:
        """Put due alerts into the spools, then store them as sent: in this order, since twice is better than never.

        `with_kills`: also what the watchdog killed since the last run.
        """
        if not self.channels:
            return
        now, reading = datetime.now(UTC), self._read()
        selection, earlier = self._selection(), self._earlier(checks)
        decided = Decider(selection, self._inputs.host, reading.state, now, earlier).decide(results)
        if with_kills:
            decided = self._add_kills(decided, reading.state or AlertState(), now)
        waiting = self._put(decided)
        last_kill = decided.last_kill_to_store(waiting)
        if decided.changes or last_kill or not reading.is_whole:
            self._store(*decided.to_store(waiting), now, decided.to_resolve, last_kill)
        self._rounds.append(decided)

    def deliver(self, exitstatus: int) -> None:
        """Send what can be sent within SECONDS_AT_END; the rest waits for the next run."""
        ends_at = clock.monotonic() + SECONDS_AT_END
        started = []
        for task in self._tasks:
            if thread := threads.start(task.end, exitstatus, ends_at, name="healthchecks-deliver"):
                started.append(thread)
            else:
                task.end(exitstatus, ends_at)
        for thread in started:
            thread.join(max(0.0, ends_at - clock.monotonic()) + 0.1)
        self._store_sent_from_memory()
        for each in self._heartbeats:
            if each.error:
                self._on_error(f"heartbeat not sent: {each.error}")

    def summary(self) -> list[str]:
        """Return a line for each channel and task that has something to say, and one of alerts not sent."""
        lines = [line for task in self._tasks if (line := task.summary())]
        not_sent = ", ".join(self._not_sent())
        return [*lines, f"alerts not sent: {not_sent}"] if not_sent else lines

    def _selection(self) -> AlertSelection:
        settings = self._inputs.settings
        filters = list(dict.fromkeys(each.only for each in self.channels))
        of_sentry = next((each.only for each in self.channels if not each.takes_all), None)
        return AlertSelection(settings.alerts.max_per_run, settings.alerts.max_per_day, filters, of_sentry)

    def _earlier(self, checks: "Iterable[CheckHistory]") -> EarlierResults:
        """Return what each alert shows of its check's earlier runs, without this one."""
        started = int(self._inputs.started.timestamp())
        return {
            each.key: [
                EarlierResult(point.moment, point.status, point.duration)
                for point in each.recent
                if point.time < started
            ][: -_MOST_EARLIER - 1 : -1]
            for each in checks
        }

    def _read(self) -> Reading:
        try:
            reading = bounded(self._file.begin, _PATIENCE)
        except TimeoutError as error:
            reading = Reading(None, f"{NAME}: {error}", is_whole=False)
        if reading.error:
            then = "" if reading.state else "; every failure is alerted"
            self._on_error(f"the state of the alerts cannot be read: {reading.error}{then}")
        return reading

    def _add_kills(self, decided: AlertRound, state: AlertState, now: datetime) -> AlertRound:
        """Add the kills of the watchdog, unless nobody takes them here; over the limit of the day they wait."""
        most, sent = self._inputs.settings.alerts.max_per_day, len(state.sent_today(now.timestamp()))
        is_full = most and sent + len(decided.events) >= most
        takers = {each.only for each in self.channels if each.takes_all and each.only.takes(KILLED_BROWSER)}
        if self._inputs.of_reports or is_full or not takers:
            return decided
        from healthchecks.plugin.alerting.kills import find_new

        try:
            find = partial(find_new, self._inputs.directory, state.last_kill, self._inputs.host, now)
            new = bounded(find, _PATIENCE)
        except TimeoutError as error:
            self._on_error(f"the watchdog's kills cannot be read: {error}")
            return decided
        if new.last == state.last_kill:
            return decided
        return decided.with_kills([replace(each, filters=frozenset(takers)) for each in new.alerts], new.last)

    def _put(self, decided: AlertRound) -> list[str]:
        """Return the ids of alerts that no channel could write to its spool: they may yet be sent from memory."""
        waiting = []
        page = self._inputs.settings.dashboard.url
        for alert in decided.alerts:
            takers = [each for each in self.channels if each.takes(alert)]
            copies = [(channel, channel.put(linked(alert, page))) for channel in takers]
            if takers and not any(copy and copy.content is None for _, copy in copies):
                self._in_memory[alert.id] = [(channel, copy) for channel, copy in copies if copy]
                waiting.append(alert.id)
        return waiting

    def _store_sent_from_memory(self) -> None:
        """Store as sent what was sent from memory; the rest of it is due again in the next run."""
        left = {event for event, copies in self._in_memory.items() if any(each.has_sent(copy) for each, copy in copies)}
        for decided in self._rounds:
            if any(alert.id in left for alert in decided.alerts):
                keys = {key for event in left for key in decided.if_lost.get(event, ())}
                sent = [alert.key for alert in decided.events if alert.id in left]
                last_kill = decided.last_kill_to_store(self._in_memory.keys() - left)
                self._store({key: decided.changes[key] for key in keys}, sent, datetime.now(UTC), {}, last_kill)

    def _store(
        self,
        changes: Mapping[Key, Incident | None],
        sent: Sequence[Key],
        now: datetime,
        to_resolve: Mapping[str, float],
        last_kill: LastKill | None,
    ) -> None:
        def change(state: AlertState) -> None:
            state.last_kill = last_kill or state.last_kill
            state.resolutions |= to_resolve if self._inputs.settings.sentry.token else {}
            state.change(changes, sent, now.timestamp())

        try:
            bounded(partial(self._file.change, change), _PATIENCE)
        except OSError as error:
            self._on_error(f"the state of the alerts cannot be stored, so the next run repeats alerts: {error}")

    def _not_sent(self) -> Iterator[str]:
        actions: Counter[Action] = sum((each.actions for each in self._rounds), Counter())
        if count := actions[Action.SUPPRESSED]:
            yield sent_before(count, self._inputs.directory)
        for action, text in _NOT_SENT.items():
            if count := actions[action]:
                yield text.format(count)
        if count := sum(each.over_daily_limit for each in self._rounds):
            yield f"{count} over the daily limit (max_per_day)"
        if count := sum(each.untaken for each in self._rounds):
            yield f"{count} that no channel takes (only)"
