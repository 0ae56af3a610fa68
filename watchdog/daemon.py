"""`watchdog watch`: looks until it is told to stop."""

import logging
import os
import select
import time
from collections.abc import Callable

from servermonitoring.configuration import ConfigurationError
from watchdog import background, sd_notify, telling
from watchdog.outlet import Outlet
from watchdog.rulebook import Rulebook
from watchdog.signals import LONGEST_END, Signals
from watchdog.state import Heartbeat
from watchdog.watching import Watch

log = logging.getLogger(__name__)

_GLANCE = 1.0  # seconds between two glances at whether anything new has started
_BEAT_EVERY = 10.0  # seconds
_PATIENCE = 5.0  # seconds for what is under way at the end


class Daemon:
    """The loop around the looks: signals, heartbeat, systemd."""

    def __init__(
        self, watch: Watch, signals: Signals, longest: float, reread: Callable[[], Rulebook], outlet: Outlet
    ) -> None:
        self.watch, self._signals, self._longest, self._reread, self._outlet = watch, signals, longest, reread, outlet
        self._leave_time_for_the_grace()
        self._started, self._beaten = time.time(), float("-inf")
        self._glance = min(_GLANCE, (sd_notify.interval() or 2 * _GLANCE) / 2)

    def run(self) -> None:
        self._look()
        self._say_what_matches_nothing()
        sd_notify.notify("READY=1")
        while not self._signals.stop:
            self._wait()
            if self._signals.reload:
                self._signals.reload = False
                self._change_rules()
            self._look()
        sd_notify.notify("STOPPING=1")
        self.finish()
        log.info("stopped")

    def finish(self) -> None:
        """See what was begun to its end."""
        self.watch.finish()
        background.wait(_PATIENCE)
        self.watch.state.finish(_PATIENCE)
        self._outlet.close()

    def _look(self) -> None:
        try:
            self.watch.look()
        except Exception:  # whatever it was, the next look may go well
            log.exception("a look failed")
        self._beat()

    def _wait(self) -> None:
        """Until the next look is due, something new has started, or a signal came."""
        poll = select.poll()
        poll.register(self._signals.woken, select.POLLIN)
        due = time.monotonic() + self.watch.pause(self._longest)
        while (rest := due - time.monotonic()) > 0:
            if poll.poll(min(rest, self._glance) * 1000):
                os.read(self._signals.woken, 512)
                return
            if rest > self._glance:
                sd_notify.notify("WATCHDOG=1")
                if self.watch.news():
                    return

    def _beat(self) -> None:
        sd_notify.notify("WATCHDOG=1")
        if time.monotonic() - self._beaten >= _BEAT_EVERY:
            self._beaten = time.monotonic()
            suspended = self.watch.believer.suspension.reason
            beat = Heartbeat(os.getpid(), time.time(), self._longest + _BEAT_EVERY, self._started, suspended)
            self.watch.state.heartbeat(beat)

    def _change_rules(self) -> None:
        sd_notify.reloading()
        try:
            book = self._reread()
        except ConfigurationError as error:
            log.error("the old rules stay in force: %s", error)  # noqa: TRY400 - it says all
        else:
            self.watch.change_rules(book.rules)
            self._leave_time_for_the_grace()
            self._outlet.address(book.addressee)
            log.info("read the rules anew from %s", book.source or "the defaults")
            tell_rules(book)
        sd_notify.notify("READY=1")

    def _leave_time_for_the_grace(self) -> None:
        grace = max((rule.grace for rule in self.watch.families.rules), default=0.0)
        self._signals.longest_end = LONGEST_END + grace

    def _say_what_matches_nothing(self) -> None:
        used = {family.rule.name for family in self.watch.families.by_main.values()}
        for rule in self.watch.families.rules:
            if rule.name not in used:
                log.info("rule %s matches no process now", rule.name)


def tell_rules(book: Rulebook) -> None:
    """What is in force, at the start and after a change."""
    for rule in book.rules:
        log.info("rule %s: process %s; %s", rule.name, rule.process, telling.rule_in_words(rule))
