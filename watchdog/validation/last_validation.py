"""When a browser was last validated, as far as its records and what was heard can be believed."""

import logging
import threading
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from watchdog import validation
from watchdog.background import in_background
from watchdog.browser import Family
from watchdog.clock import uptime
from watchdog.policy import due_at
from watchdog.validation import containers, directory, records
from watchdog.validation.receiver import Receiver, Validations
from watchdog.validation.records import Found
from watchdog.validation.suspension import Suspension

log = logging.getLogger(__name__)
_MOST_SAID = 1000
_REFRESH_EVERY = 3600.0  # seconds after which records are made young; what removes old files waits for days
_SAVE_EVERY = 5.0  # seconds
_LATER = 1.0  # seconds by which what was heard is newer than the record that came with it


class Believer:
    """Reads the records for families and hears the socket, and says what is wrong with them; each once.

    Times are seconds of uptime.
    """

    def __init__(self, *, repair: bool, state: Path | None = None) -> None:
        """With `repair` the directory of records is made, or made safe; `state` keeps what is known for the next."""
        self._state = state
        self._known = Validations()
        known = state is not None and self._known.load(state)
        self.suspension = Suspension(repair=repair, first=not known)
        self._receiver: Receiver | None = None
        self._said: set[str] = set()
        self._refreshed = self._saved = float("-inf")
        self._saving = threading.Lock()
        self._begun = uptime()

    def listen(self) -> None:
        """Hear validations through the socket, too, until `close`. What is wrong is said."""
        path = validation.own()
        try:
            if path is not None:
                self._receiver = Receiver(path, self._known.hear)
        except OSError as error:
            log.warning("validations come by records only, not through the socket %s: %s", path, error)

    def close(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
        in_background(self._save)

    def ask(self, family: Family, now: float) -> None:
        """Take in the family's newest validation; one that cannot be known excuses it."""
        self.suspension.test(now, thoroughly=True)
        taken = self._read(family, now, records.newest)
        due = due_at(family.facts(self.suspension.excused), family.rule)
        if taken or (due is not None and now >= due):
            self._read(family, now, records.newest_beside)

    def ask_again(self, family: Family, now: float) -> None:
        """Read the records of one that was never validated as often as to notice when it falls silent after all."""
        every = family.rule.revalidated_every
        if family.validated is None and every is not None and now >= family.asked + every:
            self._read(family, now, records.newest)

    def tidy(self, families: Collection[Family] = ()) -> None:
        """Test the directory, keep records of the living young, and remove those of the dead."""
        now = uptime()
        self.suspension.test(now, thoroughly=True)
        refresh = now - self._refreshed >= _REFRESH_EVERY
        if refresh:
            self._refreshed = now
        for family in families:
            if refresh or family.former:
                self._read(family, now, partial(records.newest, refresh=refresh))
        self._known.forget_dead()
        self._remove_dead({member[:2] for family in families for member in family.all_members()})

    def glance(self, families: Iterable[Family], now: float) -> bool:
        """Test the directory, and keep what is known for the next watchdog; return whether the test says otherwise."""
        reason = self.suspension.reason
        self.suspension.test(now)
        self.suspension.lay_sentinel()
        self._keep(families, now)
        return self.suspension.reason != reason

    def _keep(self, families: Iterable[Family], now: float) -> None:
        """In a thread of its own: a disk may hang."""
        if self._state is None or now - self._saved < _SAVE_EVERY:
            return
        self._saved = now
        for family in families:
            if family.validated is not None:
                self._known.note(family.main, family.validated)
        in_background(self._save)

    def _save(self) -> None:
        if self._state is None or not self._saving.acquire(blocking=False):  # at most one waits for the disk
            return
        try:
            self._known.save(self._state)
        except OSError as error:
            self._say(f"validations cannot be kept for the next watchdog: {error}")
        finally:
            self._saving.release()

    def _read(self, family: Family, now: float, read: containers.Read) -> bool:
        """Return whether a record was there that is not believed."""
        found, members = Found(None, []), family.all_members()
        try:
            with directory.opened() as descriptor:
                found = containers.newest(read, descriptor, members, family, now)
        except FileNotFoundError:
            pass  # there are no records
        except OSError as error:
            family.excused = now
            if not self.suspension.reason:
                self._say(f"validation records cannot be read: {error}", logging.ERROR)
        for trouble in found.troubles:
            self._say(trouble)
        self._take(family, now, self._known.newest(members), found.validated)
        return bool(found.troubles)

    def _take(self, family: Family, now: float, heard: float | None, recorded: float | None) -> None:
        if heard is not None and heard > (recorded or 0.0) + _LATER:
            # Its validations leave no records: what came while no watchdog ran is lost.
            family.excused = max(family.excused, self._begun)
        known = [time for time in (family.validated, heard, recorded) if time is not None]
        family.validated = max(known, default=None)
        family.asked = now
        family.former.clear()

    def _remove_dead(self, needed: Collection[tuple[int, int]]) -> None:
        try:
            with directory.opened() as descriptor:
                records.remove_dead(descriptor, needed)
        except OSError as error:
            if not self.suspension.reason:
                self._say(f"records of dead processes cannot be removed: {error}")

    def _say(self, message: str, level: int = logging.WARNING) -> None:
        if message not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(message)
            log.log(level, "%s", message)
