"""The first minutes of the first watchdog on a machine, if nobody wrote rules: it says what it is about to kill.

Whoever only tries `watchdog watch` as root learns from the log that every Firefox is meant, and can still stop it.
"""

import logging
from pathlib import Path

from servermonitoring.values import in_words
from servermonitoring.watchdog_state import heartbeat
from watchdog.browser import Family
from watchdog.clock import uptime
from watchdog.policy import Reason, verdict
from watchdog.processes import user_name
from watchdog.rules import DEFAULT, Rule

log = logging.getLogger(__name__)

_LENGTH = 180.0  # seconds: what the default rule gives a browser to be validated
_HEAD = (
    "first start, without a rule in the configuration: nothing is killed for %s, then every Firefox of any user that "
    "is not validated or uses too much memory. Other rules are tables [watchdog.NAME] of servermonitoring.toml"
)


class Truce:
    """Nothing is killed before its end, in seconds of uptime."""

    def __init__(self, end: float = 0.0) -> None:
        self._end = end

    def lasts(self) -> bool:
        return bool(self._end) and self.left(uptime()) > 0

    def left(self, now: float) -> float:
        """Return the seconds until browsers are killed, 0 when it is over."""
        return max(0.0, self._end - now)

    def announce(self, family: Family, now: float) -> None:
        """Say that a browser will be killed, if it goes on as it is."""
        found = verdict(family.facts(), family.rule, self._end) if self.left(now) else None
        if found and (found.reason is Reason.MEMORY or family.validated is None):
            log.warning(
                "%s, process %d of %s, will be killed in %s: %s", family.main.name, family.main.pid,
                user_name(family.uid), in_words(round(self.left(now))), found.message,
            )  # fmt: skip


def begin(rules: list[Rule], state: Path | None) -> Truce:
    """Return one that lasts if no watchdog ever ran with this state directory, and the default rule is in force."""
    if rules[0] is not DEFAULT or (state is not None and heartbeat(state) is not None):
        return Truce()
    log.warning(_HEAD, in_words(_LENGTH))
    return Truce(uptime() + _LENGTH)
