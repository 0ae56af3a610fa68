"""`watchdog watch`: the loop of scans, until a signal ends it, and its notifications to systemd."""

import contextlib
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from operator import attrgetter

from servermonitoring import threads
from servermonitoring.watchdog_state import Heartbeat
from watchdog import messages
from watchdog.alerting import AlertChannel
from watchdog.handover import HandoverError, WatchdogSettings
from watchdog.watcher import Watcher

LONGEST_END = 45.0  # seconds from SIGTERM to the end, whatever hangs
_HANDLED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Signals:
    """Receives signals in a thread. Create it before any other thread, as those inherit the signal mask."""

    def __init__(self) -> None:
        self.should_stop = self.should_reload = False
        self.longest_end = LONGEST_END
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever ignores it would lose the reader's exit status
        threading.Thread(target=self._listen, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Return True as soon as a signal comes, False when the seconds are over."""
        if not self._poll.poll(seconds * 1000):
            return False
        os.read(self._woken, 512)
        return True

    def wake(self) -> None:
        """Let `wait` return."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full: the loop wakes up anyway
            os.write(self._wake, b"\0")

    def _listen(self) -> None:
        while not self.should_stop:
            number = signal.sigwait(_HANDLED)
            self.should_reload |= number == signal.SIGHUP
            self.should_stop |= number != signal.SIGHUP
            self.wake()
        time.sleep(self.longest_end)
        os._exit(1)  # something hangs for good


log = logging.getLogger(__name__)
_CHECK_EVERY = 1.0  # seconds between two checks for new processes
_HEARTBEAT_EVERY = 10.0  # seconds
_PATIENCE = 5.0  # seconds for the work under way at the end


class Daemon:
    """The loop around the scans: signals, heartbeat, systemd."""

    def __init__(
        self,
        watcher: Watcher,
        signals: Signals,
        longest: float,
        load_settings: Callable[[], WatchdogSettings],
        channel: AlertChannel,
    ) -> None:
        self.watcher, self._signals, self._longest, self._load_settings, self._channel = (
            watcher,
            signals,
            longest,
            load_settings,
            channel,
        )
        self._extend_longest_end()
        self._is_reading = False  # the configuration, after SIGHUP
        self._reloaded: WatchdogSettings | Exception | None = None
        self._started_at, self._heartbeat_at = time.time(), float("-inf")
        self._check_every = min(_CHECK_EVERY, (_systemd_interval() or 2 * _CHECK_EVERY) / 2)

    def run(self) -> None:
        self._scan()
        self._log_idle_rules()
        _notify("READY=1")
        while not self._signals.should_stop:
            self._wait()
            self._reload()
            self._scan()
        _notify("STOPPING=1")
        self.finish()
        log.info("stopped")

    def finish(self) -> None:
        """Complete the work under way."""
        self.watcher.finish()
        threads.wait_for_background(_PATIENCE)
        self.watcher.state.finish(_PATIENCE)
        self._channel.close()

    def _scan(self) -> None:
        try:
            self.watcher.scan()
        except Exception:  # whatever it was, the next scan may succeed
            log.exception("a scan failed, the next one follows")
        self._beat()

    def _wait(self) -> None:
        """Wait until the next scan is due, something new has started, or a signal came."""
        due = time.monotonic() + self.watcher.pause(self._longest)
        while (rest := due - time.monotonic()) > 0:
            if self._signals.wait(min(rest, self._check_every)):
                return
            if rest > self._check_every:
                _notify("WATCHDOG=1")
                if self.watcher.has_changes():
                    return

    def _beat(self) -> None:
        _notify("WATCHDOG=1")
        if time.monotonic() - self._heartbeat_at >= _HEARTBEAT_EVERY:
            self._heartbeat_at = time.monotonic()
            self.watcher.state.heartbeat(self._heartbeat())

    def _heartbeat(self) -> Heartbeat:
        """Return the heartbeat with what the last scan has found."""
        browsers = self.watcher.browsers.by_main.values()
        heaviest = max(browsers, key=attrgetter("memory"), default=None)
        return Heartbeat(
            pid=os.getpid(),
            time=time.time(),
            poll_interval=self._longest + _HEARTBEAT_EVERY,
            started=self._started_at,
            suspended=self.watcher.tracker.suspension.reason,
            browsers=len(browsers),
            heaviest=heaviest.memory if heaviest else 0,
            heaviest_limit=heaviest.rule.max_memory if heaviest else None,
        )

    def _reload(self) -> None:
        """Begin to read the configuration where that is due; apply what was read meanwhile."""
        if self._reloaded is not None:
            reloaded, self._reloaded, self._is_reading = self._reloaded, None, False
            self._apply(reloaded)
        if self._signals.should_reload and not self._is_reading:
            self._signals.should_reload, self._is_reading = False, True
            _notify_reloading()
            if threads.start(self._read_settings, name="reload") is None:
                self._read_settings()

    def _read_settings(self) -> None:
        """Read the configuration, which takes the start of a program, while the scans go on."""
        try:
            self._reloaded = self._load_settings()
        except Exception as error:  # noqa: BLE001 - whatever it was, the old rules stay
            self._reloaded = error
        self._signals.wake()

    def _apply(self, reloaded: WatchdogSettings | Exception) -> None:
        if isinstance(reloaded, Exception):
            why = reloaded if isinstance(reloaded, HandoverError) else repr(reloaded)
            log.error("the old rules stay in force: %s", why)
        else:
            self.watcher.change_rules(reloaded.rules)
            self._extend_longest_end()
            self._channel.configure(reloaded.alerts)
            log.info("reloaded the rules from %s", reloaded.source or "the defaults")
            log_rules(reloaded)
        _notify("READY=1")

    def _extend_longest_end(self) -> None:
        grace = max((rule.grace for rule in self.watcher.browsers.rules), default=0.0)
        self._signals.longest_end = LONGEST_END + grace

    def _log_idle_rules(self) -> None:
        used = {browser.rule.name for browser in self.watcher.browsers.by_main.values()}
        for rule in self.watcher.browsers.rules:
            if rule.name not in used:
                log.info("rule %s matches no process now", rule.name)


def log_rules(config: WatchdogSettings) -> None:
    """Log the rules in force, at the start and after a reload."""
    for rule in config.rules:
        log.info("rule %s: process %s; %s", rule.name, rule.process, messages.rule_in_words(rule))


def _notify(*lines: str) -> None:
    """Send lines such as READY=1 to systemd (Type=notify, WatchdogSec=); do nothing without it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    import socket  # half a megabyte that is not needed without systemd

    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.setblocking(False)
        connection.sendto("\n".join(lines).encode(), address)


def _notify_reloading() -> None:
    _notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def _systemd_interval() -> float | None:
    """Return the seconds within which systemd expects WATCHDOG=1, None if it does not."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not usec.isdigit() or not int(usec) or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1_000_000
