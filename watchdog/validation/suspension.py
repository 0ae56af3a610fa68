"""Suspension of the time limits while no validation record can be made, or records were lost."""

import contextlib
import errno
import logging
import os

from watchdog import processes
from watchdog.validation import directory, records


def check(descriptor: int) -> None:
    """Ask the file system, at almost no cost. Raise OSError if nobody but root can make a file there."""
    status = os.fstatvfs(descriptor)
    if status.f_flag & os.ST_RDONLY:
        raise _error(errno.EROFS)
    if status.f_blocks and not status.f_bavail:
        raise _error(errno.ENOSPC)
    if status.f_files and not status.f_favail:  # some file systems do not count them
        raise OSError(errno.ENOSPC, f"no inodes left: {directory.location()}")


def try_to_write(descriptor: int) -> None:
    """Write a file as a record is written, and remove it: only so quotas and remounts show. Raise OSError."""
    os.unlink(directory.write_temporary(descriptor, processes.own_identity(), b"0.00\n"), dir_fd=descriptor)


def _error(number: int) -> OSError:
    return OSError(number, f"{os.strerror(number)}: {directory.location()}")


log = logging.getLogger(__name__)


class Sentinel:
    """A file among the records, whose absence shows that records were removed.

    Nobody can take its name in advance, and it is removed like a record once this process has ended.
    """

    def __init__(self) -> None:
        self._name = ""

    def create(self) -> None:
        """Create it if it is missing. Raise OSError."""
        if self._name:
            return
        content = f"0.00\nthe watchdog's own{records.mark()}\n".encode()
        with directory.opened() as descriptor:
            self._name = directory.write_temporary(descriptor, processes.own_identity(), content)

    def is_lost(self) -> bool:
        """Return whether it was removed since it was created. Raise OSError."""
        if not self._name:
            return False
        try:
            with directory.opened() as descriptor:
                os.stat(self._name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            log.warning(
                "validation records were removed from %s: the time limits count from now on", directory.location()
            )
            self._name = ""
            return True
        return False


_TEST_EVERY = 0.5  # seconds


class Suspension:
    """Tests the directory of records. All times are seconds of uptime."""

    def __init__(self, *, repair: bool, first: bool = True) -> None:
        """With `repair` make the directory, or make it safe, and write files to test it.

        A missing directory has lost no records if no watchdog before this `first` one knew of validations.
        """
        self._repair = repair
        self.reason = ""  # why the time limits are suspended now; empty if they are in force
        self._tested_at = float("-inf")
        self._sentinel = Sentinel()
        self.excused_until = 0.0  # until then a missing validation means nothing
        if repair and first:
            with contextlib.suppress(OSError):  # the test will report it
                os.close(directory.open_to_write())

    def test(self, now: float, *, thoroughly: bool = False) -> None:
        """Ask the file system, at most twice a second; thoroughly: at once, and by writing a file."""
        if not thoroughly and now - self._tested_at < _TEST_EVERY:
            return
        self._tested_at = now
        try:
            if self._repair and (directory.repair() or self._sentinel.is_lost()):
                self.excused_until = now
            self._try(thoroughly=self._repair and (thoroughly or bool(self.reason)))
        except OSError as error:
            self._suspend(str(error), now)
        else:
            self._resume()

    def create_sentinel(self) -> None:
        """Notice from now on that records are removed."""
        if self._repair and not self.reason:
            try:
                self._sentinel.create()
            except OSError as error:
                log.debug("the directory of records passed its test, but cannot be written to: %s", error)

    def _try(self, *, thoroughly: bool) -> None:
        try:
            with directory.opened() as descriptor:
                check(descriptor)
                if thoroughly:
                    try_to_write(descriptor)
        except FileNotFoundError:
            if self._repair:
                raise
            # A reader does not make it, and the first record would.

    def _suspend(self, reason: str, now: float) -> None:
        if not self.reason:
            log.error("validations cannot be recorded, so only memory limits apply: %s", reason)
        self.reason, self.excused_until = reason, now

    def _resume(self) -> None:
        if self.reason:
            log.info("validations can be recorded again: the time limits apply, and count from now on")
        self.reason = ""
