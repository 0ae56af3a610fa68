"""Writes the watchdog's state, in a thread of its own: no look and no kill waits for a disk."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path

from servermonitoring.files import private_directory
from servermonitoring.watchdog_state import Heartbeat, Kill, record_kill, write_heartbeat
from watchdog.background import Backlog

log = logging.getLogger(__name__)

_MOST = 1000  # kills that wait for a disk


class AlreadyRunningError(Exception):
    """Another watchdog has this state directory."""


class StateWriter:
    """Heartbeat, kills and lock in one directory, which is made again if it is removed; None: nothing is written."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._backlog: Backlog[Kill | None] | None = None if directory is None else Backlog(self._write, _MOST)
        self._heartbeat: Heartbeat | None = None  # the newest; older ones need not be written
        self._lock: int | None = None
        self._failed = False

    def lock(self) -> None:
        """Keep other watchdogs away for as long as this process lives. Raises AlreadyRunningError."""
        if self._directory is None:
            return
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._lock = os.open(self._directory / "watchdog.lock", flags, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"another watchdog runs with the state in {self._directory}") from None
        except OSError as error:
            log.warning("the state cannot be locked: %s", error)

    def heartbeat(self, beat: Heartbeat) -> None:
        waiting, self._heartbeat = self._heartbeat, beat
        if waiting is None and self._backlog and not self._backlog.put(None):
            self._heartbeat = None

    def kill(self, kill: Kill) -> None:
        if self._backlog and not self._backlog.put(kill):
            log.warning("the kill is not recorded: %s has not answered for too long", self._directory)

    def finish(self, budget: float) -> None:
        """Give what is left so many seconds."""
        if self._backlog and not self._backlog.finish(budget):
            log.warning("not all is recorded: %s does not answer", self._directory)

    def _write(self, kill: Kill | None) -> None:
        """Write a kill, or the newest heartbeat."""
        if kill is None:
            self._write_heartbeat()
            return
        try:
            self._in_directory(lambda directory: record_kill(directory, kill))
        except OSError as error:
            log.warning("the kill could not be written to %s: %s", self._directory, error)

    def _write_heartbeat(self) -> None:
        beat, self._heartbeat = self._heartbeat, None
        if beat is None:
            return
        try:
            self._in_directory(lambda directory: write_heartbeat(directory, beat))
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("the state cannot be written to %s: %s", self._directory, error)
            self._failed = True

    def _in_directory(self, write: Callable[[Path], None]) -> None:
        if self._directory is None:
            return
        try:
            write(self._directory)
        except FileNotFoundError:
            self._make_again(self._directory)
            write(self._directory)

    def _make_again(self, directory: Path) -> None:
        private_directory(directory, root_may_share=True)
        log.warning("the state directory %s was removed: made again", directory)
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            os.close(self._lock)
        try:
            self.lock()
        except AlreadyRunningError as error:
            log.error("%s, too", error)  # noqa: TRY400 - it says all
