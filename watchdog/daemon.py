"""`watchdog watch`: looks until it is told to stop."""

import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from servermonitoring.configuration import ConfigurationError
from watchdog import background, sd_notify, telling
from watchdog.outlet import Outlet
from watchdog.rulebook import Rulebook
from watchdog.state import Heartbeat, write_heartbeat
from watchdog.watching import Watch

log = logging.getLogger(__name__)

_GLANCE = 1.0  # seconds between two glances at whether anything new has started
_BEAT_EVERY = 10.0  # seconds


class Daemon:
    """The loop around the looks: signals, heartbeat, systemd."""

    def __init__(
        self, watch: Watch, state: Path | None, longest: float, reread: Callable[[], Rulebook], outlet: Outlet
    ) -> None:
        self.watch, self._state, self._longest, self._reread, self._outlet = watch, state, longest, reread, outlet
        self._started, self._beaten = time.time(), float("-inf")
        self._stop = self._reload = False
        self._unwritable = False
        self._glance = min(_GLANCE, (sd_notify.interval() or 2 * _GLANCE) / 2)

    def run(self) -> None:
        with self._signals() as woken:
            self._look()
            self._say_what_matches_nothing()
            sd_notify.notify("READY=1")
            while not self._stop:
                self._wait(woken)
                if self._reload:
                    self._change_rules()
                self._look()
        sd_notify.notify("STOPPING=1")
        self.watch.finish()
        background.wait(5.0)
        self._outlet.close()
        log.info("stopped")

    def _look(self) -> None:
        try:
            self.watch.look()
        except Exception:  # whatever it was, the next look may go well
            log.exception("a look failed")
        self._beat()

    def _wait(self, woken: int) -> None:
        """Until the next look is due, something new has started, or a signal came."""
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        due = time.monotonic() + self.watch.pause(self._longest)
        while (rest := due - time.monotonic()) > 0:
            if poll.poll(min(rest, self._glance) * 1000):
                os.read(woken, 512)
                return
            if rest > self._glance:
                sd_notify.notify("WATCHDOG=1")
                if self.watch.news():
                    return

    def _beat(self) -> None:
        sd_notify.notify("WATCHDOG=1")
        if self._state is None or time.monotonic() - self._beaten < _BEAT_EVERY:
            return
        self._beaten = time.monotonic()
        suspended = self.watch.believer.suspension.reason
        beat = Heartbeat(os.getpid(), time.time(), self._longest + _BEAT_EVERY, self._started, suspended)
        try:
            write_heartbeat(self._state, beat)
            self._unwritable = False
        except OSError as error:
            if not self._unwritable:
                log.warning("the state cannot be written to %s: %s", self._state, error)
            self._unwritable = True

    def _change_rules(self) -> None:
        self._reload = False
        sd_notify.reloading()
        try:
            book = self._reread()
        except ConfigurationError as error:
            log.error("the old rules stay in force: %s", error)  # noqa: TRY400 - it says all
        else:
            self.watch.change_rules(book.rules)
            self._outlet.address(book.addressee)
            log.info("read the rules anew from %s", book.source or "the defaults")
            tell_rules(book)
        sd_notify.notify("READY=1")

    def _say_what_matches_nothing(self) -> None:
        used = {family.rule.name for family in self.watch.families.by_main.values()}
        for rule in self.watch.families.rules:
            if rule.name not in used:
                log.info("rule %s matches no process now", rule.name)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[int]:
        """Signals set a mark and wake the loop; it gives the descriptor that becomes readable."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        yield woken
        signal.set_wakeup_fd(-1)

    def _on_stop(self, *_: object) -> None:
        self._stop = True

    def _on_reload(self, *_: object) -> None:
        self._reload = True


def tell_rules(book: Rulebook) -> None:
    """What is in force, at the start and after a change."""
    for rule in book.rules:
        log.info("rule %s: process %s; %s", rule.name, rule.process, telling.rule_in_words(rule))
