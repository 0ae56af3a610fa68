"""The last validation of each browser, from its records and from the socket, and interruptions of the watchdog."""

import logging
import threading
import time
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from servermonitoring.threads import in_background
from servermonitoring.values import in_words
from watchdog import validation
from watchdog.browsers import Browser
from watchdog.policy import due_at
from watchdog.processes import uptime
from watchdog.validation import containers, directory, records
from watchdog.validation.directory import Suspension
from watchdog.validation.receiver import Receiver, Validations
from watchdog.validation.records import RecordSummary

log = logging.getLogger(__name__)
_MOST_LOGGED = 1000  # different messages
_REFRESH_EVERY = 3600.0  # seconds between two refreshes of the records' times; cleaners of old files wait for days
_SAVE_EVERY = 5.0  # seconds
_LATER = 1.0  # seconds by which a validation from the socket may be newer than the record of the same validation


class ValidationTracker:
    """Keeps the last validation of each browser, and logs what is wrong with its records, each message once.

    Times are seconds of uptime.
    """

    def __init__(self, *, repair: bool, state: Path | None = None) -> None:
        """With `repair` make the directory of records, or make it safe; save validations in `state` for a restart."""
        self._state = state
        self._validations = Validations()
        is_restart = state is not None and self._validations.load(state)
        self.suspension = Suspension(repair=repair, first=not is_restart)
        self._receiver: Receiver | None = None
        self._messages: set[str] = set()  # that were logged
        self._refreshed_at = self._saved_at = float("-inf")
        self._saving = threading.Lock()
        self._started_at = uptime()

    def listen(self) -> None:
        """Receive validations through the socket too, until `close`; log why if that is not possible."""
        path = validation.own()
        try:
            if path is not None:
                self._receiver = Receiver(path, self._validations.receive)
        except OSError as error:
            log.warning("no validations through the socket %s, only by records: %s", path, error)

    def close(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
        in_background(self._save, log)

    def update(self, browser: Browser, now: float) -> None:
        """Find the browser's newest validation; excuse the browser if it cannot be known."""
        self.suspension.test(now, thoroughly=True)
        has_errors = self._read(browser, now, records.newest)
        due = due_at(browser.facts(self.suspension.excused_until), browser.rule)
        if has_errors or (due is not None and now >= due):
            self._read(browser, now, records.newest_with_suffix)

    def update_if_due(self, browser: Browser, now: float) -> None:
        """Read the records of a browser that was never validated often enough to notice when it falls silent."""
        every = browser.rule.revalidated_every
        if browser.validated_at is None and every is not None and now >= browser.read_at + every:
            self._read(browser, now, records.newest)

    def clean_up(self, browsers: Collection[Browser] = ()) -> None:
        """Test the directory, refresh the records of living processes, and remove those of dead ones."""
        now = uptime()
        self.suspension.test(now, thoroughly=True)
        refresh = now - self._refreshed_at >= _REFRESH_EVERY
        if refresh:
            self._refreshed_at = now
        for browser in browsers:
            if refresh or browser.former_members:
                self._read(browser, now, partial(records.newest, refresh=refresh))
        self._validations.forget_dead()
        self._remove_dead({member[:2] for browser in browsers for member in browser.all_members()})

    def check(self, browsers: Iterable[Browser], now: float) -> bool:
        """Test the directory and save the validations; return whether the result of the test has changed."""
        reason = self.suspension.reason
        self.suspension.test(now)
        self.suspension.create_sentinel()
        self._save_in_background(browsers, now)
        return self.suspension.reason != reason

    def _save_in_background(self, browsers: Iterable[Browser], now: float) -> None:
        """Save in a thread: a disk may hang."""
        if self._state is None or now - self._saved_at < _SAVE_EVERY:
            return
        self._saved_at = now
        for browser in browsers:
            if browser.validated_at is not None:
                self._validations.note(browser.main, browser.validated_at)
        if not self._validations.is_saved:
            in_background(self._save, log)

    def _save(self) -> None:
        if self._state is None or not self._saving.acquire(blocking=False):  # at most one waits for the disk
            return
        try:
            self._validations.save(self._state)
        except OSError as error:
            self._log_once(f"validations cannot be saved for the next watchdog: {error}")
        finally:
            self._saving.release()

    def _read(self, browser: Browser, now: float, read: containers.Read) -> bool:
        """Read the records of a browser; return whether one was invalid."""
        found, members = RecordSummary(None, []), browser.all_members()
        try:
            with directory.opened() as descriptor:
                found = containers.newest(read, descriptor, members, browser, now)
        except FileNotFoundError:
            pass  # there are no records
        except OSError as error:
            browser.excused_until = now
            if not self.suspension.reason:
                self._log_once(f"validation records cannot be read: {error}", logging.ERROR)
        for error_text in found.errors:
            self._log_once(error_text)
        self._set(browser, now, self._validations.newest(members), found.validated_at)
        return bool(found.errors)

    def _set(self, browser: Browser, now: float, received_at: float | None, recorded_at: float | None) -> None:
        if received_at is not None and received_at > (recorded_at or 0.0) + _LATER:
            # Its validations leave no records: those sent while no watchdog ran are lost.
            browser.excused_until = max(browser.excused_until, self._started_at)
        known = [time for time in (browser.validated_at, received_at, recorded_at) if time is not None]
        browser.validated_at = max(known, default=None)
        browser.read_at = now
        browser.former_members.clear()

    def _remove_dead(self, needed: Collection[tuple[int, int]]) -> None:
        try:
            with directory.opened() as descriptor:
                records.remove_dead(descriptor, needed)
        except OSError as error:
            if not self.suspension.reason:
                self._log_once(f"records of dead processes cannot be removed: {error}")

    def _log_once(self, message: str, level: int = logging.WARNING) -> None:
        if message not in self._messages and len(self._messages) < _MOST_LOGGED:
            self._messages.add(message)
            log.log(level, "%s", message)


_LONGEST_GAP = 3.0  # seconds between two checks; the daemon makes one a second
_MOST_INTERRUPTIONS = 10  # in a row that start the time limits again; of later ones only the lost time counts
_RENEWED = 180.0  # seconds without interruption that allow one more


class Interruptions:
    """Detects that the watchdog did not run, when browsers could not be validated. Times are seconds of uptime."""

    def __init__(self, now: float) -> None:
        self._excused_until = 0.0
        self._last_at, self._last_cpu = now, time.process_time()
        self._allowance, self._uninterrupted = _MOST_INTERRUPTIONS, 0.0

    def notice(self, now: float) -> float:
        """Return the uptime until which missing validations are excused. Must be called at least once a second."""
        passed, cpu = now - self._last_at, time.process_time()
        lost = passed - (cpu - self._last_cpu)
        self._last_at, self._last_cpu = now, cpu
        if lost > _LONGEST_GAP:
            log.info("the watchdog did not run for %s: the time limits count from now on", in_words(lost))
            self._excuse(now, lost)
        else:
            self._work(passed)
        return self._excused_until

    def _work(self, passed: float) -> None:
        self._uninterrupted += passed
        if self._uninterrupted >= _RENEWED:
            self._allowance, self._uninterrupted = min(_MOST_INTERRUPTIONS, self._allowance + 1), 0.0

    def _excuse(self, now: float, lost: float) -> None:
        """Excuse all until now, or on a machine that is always late only the lost time: hung browsers must die."""
        self._uninterrupted = 0.0
        if self._allowance:
            self._allowance -= 1
            self._excused_until = now
        else:
            self._excused_until = min(now, self._excused_until + lost)
