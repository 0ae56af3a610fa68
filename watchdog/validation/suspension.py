"""Whether a record can be made: free space, free inodes, and a file that is written and removed again."""

import contextlib
import errno
import logging
import os

from watchdog import processes
from watchdog.validation import directory, records


def check(descriptor: int) -> None:
    """Ask the file system, at almost no cost. Raise OSError if no user but root can make a file there."""
    status = os.fstatvfs(descriptor)
    if status.f_flag & os.ST_RDONLY:
        raise _error(errno.EROFS)
    if status.f_blocks and not status.f_bavail:
        raise _error(errno.ENOSPC)
    if status.f_files and not status.f_favail:  # some file systems do not count them
        raise OSError(errno.ENOSPC, f"no inodes left: {directory.location()}")


def try_out(descriptor: int) -> None:
    """Write a file as a record is written, and remove it: quotas and remounts show only so. Raise OSError."""
    os.unlink(directory.write_beside(descriptor, processes.own_identity(), b"0.00\n"), dir_fd=descriptor)


def _error(number: int) -> OSError:
    return OSError(number, f"{os.strerror(number)}: {directory.location()}")


log = logging.getLogger(__name__)


class Sentinel:
    """Nobody can take its name beforehand, and it is removed like a record once this process has ended."""

    def __init__(self) -> None:
        self._name = ""

    def lay(self) -> None:
        """Make it, if it is not there. Raise OSError."""
        if self._name:
            return
        content = f"0.00\nthe watchdog's own{records.mark()}\n".encode()
        with directory.opened() as descriptor:
            self._name = directory.write_beside(descriptor, processes.own_identity(), content)

    def is_lost(self) -> bool:
        """Return whether it was removed since it was laid. Raise OSError."""
        if not self._name:
            return False
        try:
            with directory.opened() as descriptor:
                os.stat(self._name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            log.warning("validation records were removed from %s: validations are awaited anew", directory.location())
            self._name = ""
            return True
        return False


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
                check(descriptor)
                if thoroughly:
                    try_out(descriptor)
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
