"""Suspends the validation limits while validations cannot be recorded: their absence then means nothing."""

import contextlib
import logging
import os

from watchdog import capacity, directory
from watchdog.sentinel import Sentinel

log = logging.getLogger(__name__)

_TEST_EVERY = 0.5  # seconds


class Suspension:
    """Tests the directory of records. All times are seconds of uptime."""

    def __init__(self, *, repair: bool, first: bool = True) -> None:
        """With `repair` the directory is made, or made safe, and files are written to test it.

        Where no watchdog before this `first` one knew of validations, a missing directory has lost none.
        """
        self._repair = repair
        self.reason = ""  # why the limits are suspended now; empty if they are in force
        self._tested = float("-inf")
        self._sentinel = Sentinel()
        self.excused = 0.0  # until then the absence of a validation means nothing
        if repair and first:
            with contextlib.suppress(OSError):  # the test will say it
                os.close(directory.open_to_write())

    def test(self, now: float, *, thoroughly: bool = False) -> None:
        """Test what the file system tells, now and then; thoroughly: by writing a file, and at once."""
        if not thoroughly and now - self._tested < _TEST_EVERY:
            return
        self._tested = now
        try:
            if self._repair and (directory.repair() or self._sentinel.is_lost()):
                self.excused = now
            self._try(thoroughly=self._repair and (thoroughly or bool(self.reason)))
        except OSError as error:
            self._suspend(str(error), now)
        else:
            self._resume()

    def lay_sentinel(self) -> None:
        """Notice from now on that records are removed."""
        if self._repair and not self.reason:
            try:
                self._sentinel.lay()
            except OSError as error:
                log.debug("the directory of records was tested, and yet cannot be written to: %s", error)

    def _try(self, *, thoroughly: bool) -> None:
        try:
            with directory.opened() as descriptor:
                capacity.check(descriptor)
                if thoroughly:
                    capacity.try_out(descriptor)
        except FileNotFoundError:
            if self._repair:
                raise
            # Whoever only reads does not make it, and the first record would.

    def _suspend(self, reason: str, now: float) -> None:
        if not self.reason:
            log.error("validations cannot be recorded, so only memory is judged: %s", reason)
        self.reason, self.excused = reason, now

    def _resume(self) -> None:
        if self.reason:
            log.info("validations can be recorded again: the limits are in force, and their time begins anew")
        self.reason = ""
