"""The first minutes of the first watchdog on a machine without rules: it logs what it will kill, and kills nothing.

Whoever only tries `watchdog watch` as root learns from the log that it applies to every Firefox, in time to stop it.
"""

import logging
from pathlib import Path

from servermonitoring.values import in_words
from servermonitoring.watchdog_state import heartbeat
from watchdog.browsers import Browser
from watchdog.policy import DEFAULT, Reason, Rule, find_violation
from watchdog.processes import uptime, user_name

log = logging.getLogger(__name__)

_LENGTH = 180.0  # seconds: the time that the default rule gives a browser to be validated
_HEAD = (
    "first start without a rule in the configuration: nothing is killed for %s, then every Firefox of any user that "
    "is not validated or uses too much memory. For other rules add a table [watchdog.NAME] to servermonitoring.toml"
)


class FirstStart:
    """The time in which nothing is killed; `end` in seconds of uptime."""

    def __init__(self, end: float = 0.0) -> None:
        self._end = end

    def is_active(self) -> bool:
        return bool(self._end) and self.seconds_left(uptime()) > 0

    def seconds_left(self, now: float) -> float:
        """Return the seconds until browsers are killed, 0 when it is over."""
        return max(0.0, self._end - now)

    def announce(self, browser: Browser, now: float) -> None:
        """Log that a browser will be killed, unless something changes."""
        found = find_violation(browser.facts(), browser.rule, self._end) if self.seconds_left(now) else None
        if found and (found.reason is Reason.MEMORY or browser.validated_at is None):
            log.warning(
                "%s, process %d of %s, will be killed in %s: %s", browser.main.name, browser.main.pid,
                user_name(browser.uid), in_words(round(self.seconds_left(now))), found.message,
            )  # fmt: skip


def begin(rules: list[Rule], state: Path | None) -> FirstStart:
    """Return an active one if no watchdog ever ran with this state directory and the default rule is in force."""
    if rules[0] is not DEFAULT or (state is not None and heartbeat(state) is not None):
        return FirstStart()
    log.warning(_HEAD, in_words(_LENGTH))
    return FirstStart(uptime() + _LENGTH)
