"""Kills of the watchdog as alerts: the next run finds them in the watchdog's state and sends each once.

Not to Sentry: the watchdog sends them there itself, at once.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from healthchecks.plugin.alerting.alert import KILL, Alert, event_id
from healthchecks.plugin.alerting.policy import Action
from healthchecks.plugin.alerting.state import DAY, LastKill
from servermonitoring.values import in_words, size_in_words
from servermonitoring.watchdog_state import Kill, kills, user_name

MOST_ALERTS = 10  # kills of one run that are sent one by one; more are one summary
_MOST_READ = 1_000_000  # bytes from the end of the kills: some two thousand kills
_MOST_NAMED = 5  # rules and reasons in a summary
_LONGEST = 2000  # characters of a text
_HOUR = 3600.0


@dataclass(frozen=True)
class NewKills:
    """What to send, and the last kill to store then."""

    alerts: Sequence[Alert]
    last: LastKill


def find_new(directory: Path, last: LastKill | None, host: str, now: datetime) -> NewKills:
    """Return the kills after the `last` one that was sent, of the last day at most.

    Without a last one they are those of the last hour: the ones before have been on the page.
    """
    found = [each for each in kills(directory, most=_MOST_READ) if _is_finite(each)]
    moment = now.timestamp()
    since = moment - (DAY if last else _HOUR)
    later, is_cut = _later(found, last)
    new = [each for each in later if since <= each.time <= moment + DAY]
    alerts = [_alert(each, host) for each in new]
    if len(new) > MOST_ALERTS:
        alerts = [_summary(new, host, now, is_cut=is_cut)]
    if found:
        return NewKills(alerts, LastKill(min(found[-1].time, moment), _digest(found[-1])))
    return NewKills(alerts, last or LastKill(moment, ""))


def _later(found: Sequence[Kill], last: LastKill | None) -> tuple[Sequence[Kill], bool]:
    """Return those after the last one, and whether there may have been more than were read."""
    if last is None or not last.digest:
        return found, False
    for place in range(len(found) - 1, -1, -1):
        if _digest(found[place]) == last.digest:
            return found[place + 1 :], False
    later = [each for each in found if each.time > last.time]
    return later, len(later) == len(found)


def _is_finite(kill: Kill) -> bool:
    """Return whether it has numbers that can be written: a damaged file may hold any."""
    return all(map(math.isfinite, (kill.time, kill.age, kill.validated or 0.0)))


def _digest(kill: Kill) -> str:
    return hashlib.sha256(json.dumps(kill).encode()).hexdigest()[:16]


def _alert(kill: Kill, host: str) -> Alert:
    moment = datetime.fromtimestamp(kill.time, UTC)
    return Alert(
        id=event_id(host, KILL, _digest(kill)),
        key=(KILL, kill.rule, ""),
        action=Action.ALERT,
        label=f"watchdog[{kill.rule}]",
        message=f"killed {kill.name}: {kill.message}"[:_LONGEST],
        level="error",
        time=moment,
        since=moment,
        failures=1,
        suppressed=0,
        host=host,
        data={
            "memory": size_in_words(kill.memory),
            "age": in_words(kill.age),
            "last validated": "never" if kill.validated is None else f"{in_words(kill.validated)} before",
            "process id": str(kill.pid),
            "user": user_name(kill.user),
            "command": kill.command[:_LONGEST],
        },
    )


def _summary(new: Sequence[Kill], host: str, now: datetime, *, is_cut: bool) -> Alert:
    """Return one alert for all. `is_cut`: there were more than were read."""
    counts = Counter(f"{each.name} (rule {each.rule}: {each.reason})" for each in new).most_common()
    named = [f"{count} times {what}" if count > 1 else what for what, count in counts[:_MOST_NAMED]]
    named += [f"{len(counts) - _MOST_NAMED} other reasons"] * (len(counts) > _MOST_NAMED)
    least = "at least " if is_cut else ""
    return Alert(
        id=event_id(host, KILL, *(_digest(each) for each in new)),
        key=(KILL, "", ""),
        action=Action.ALERT,
        label="watchdog",
        message=f"killed {least}{len(new)} browsers: {', '.join(named)}",
        level="error",
        time=now,
        since=datetime.fromtimestamp(new[0].time, UTC),
        failures=1,
        suppressed=0,
        host=host,
    )
