"""Writes the watchdog's heartbeat and kills in a thread, so that no scan and no kill waits for a disk."""

import logging
from collections.abc import Callable
from pathlib import Path

from servermonitoring.files import private_directory
from servermonitoring.state_directory import AlreadyRunningError, InstanceLock
from servermonitoring.threads import Backlog
from servermonitoring.watchdog_state import Heartbeat, Kill, record_kill, write_heartbeat

log = logging.getLogger(__name__)

_MOST = 1000  # kills that wait for a disk


class StateWriter:
    """Heartbeat, kills and lock in one directory, made again if it is removed; with None nothing is written."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._backlog: Backlog[Kill | None] | None = None if directory is None else Backlog(self._write, _MOST, log)
        self._heartbeat: Heartbeat | None = None  # the newest; older ones need not be written
        self._lock: InstanceLock | None = None
        self._has_failed = False

    def lock(self) -> None:
        """Hold the lock as long as this process is alive. Raise AlreadyRunningError if another watchdog holds it."""
        if self._directory is None:
            return
        self._lock = InstanceLock(self._directory, "watchdog.lock", f"watchdog with the state in {self._directory}")
        try:
            self._lock.take()
        except OSError as error:
            log.warning("the state directory cannot be locked, so a second watchdog could start: %s", error)

    def heartbeat(self, beat: Heartbeat) -> None:
        waiting, self._heartbeat = self._heartbeat, beat
        if waiting is None and self._backlog and not self._backlog.put(None):
            self._heartbeat = None

    def kill(self, kill: Kill) -> None:
        if self._backlog and not self._backlog.put(kill):
            log.warning("kill not recorded: %d kills are waiting for the disk of %s", _MOST, self._directory)

    def finish(self, budget: float) -> None:
        """Wait `budget` seconds for what is left."""
        if self._backlog and not self._backlog.finish(budget):
            log.warning("the last kills are not recorded: no response from %s within %g s", self._directory, budget)

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
            self._has_failed = False
        except OSError as error:
            if not self._has_failed:
                log.warning("the heartbeat cannot be written to %s: %s", self._directory, error)
            self._has_failed = True

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
        self._lock.release()
        try:
            self.lock()
        except AlreadyRunningError as error:
            log.error("%s", error)  # noqa: TRY400 - the traceback adds nothing
