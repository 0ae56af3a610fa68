"""`watchdog watch`: looks until it is told to stop."""

import contextlib
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable

from servermonitoring.configuration import ConfigurationError
from servermonitoring.watchdog_state import Heartbeat
from watchdog import background, messages, sd_notify
from watchdog.alerting.channel import Outlet
from watchdog.settings import Rulebook
from watchdog.watcher import Watch

LONGEST_END = 45.0  # seconds from SIGTERM to the end, whatever hangs
_HEARD = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Signals:
    """What was asked for. Make it before any thread that is to leave the signals to this one."""

    def __init__(self) -> None:
        self.stop = self.reload = False
        self.longest_end = LONGEST_END
        self.woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while not self.stop:
            number = signal.sigwait(_HEARD)
            self.reload |= number == signal.SIGHUP
            self.stop |= number != signal.SIGHUP
            with contextlib.suppress(BlockingIOError):  # it is awake
                os.write(self._wake, b"\0")
        time.sleep(self.longest_end)
        os._exit(1)  # something hangs for good


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
        background.wait_for_background(_PATIENCE)
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
        log.info("rule %s: process %s; %s", rule.name, rule.process, messages.rule_in_words(rule))
