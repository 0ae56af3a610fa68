"""The watchdog's files in the state directory: heartbeat, kills and lock, and the journal of what is being killed.

All are written in a thread, so that no scan and no kill waits for a disk.
"""

import contextlib
import json
import logging
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from servermonitoring.files import private_directory, write_whole
from servermonitoring.state_directory import AlreadyRunningError, InstanceLock
from servermonitoring.threads import Backlog, in_background
from servermonitoring.watchdog_state import Heartbeat, Kill, record_kill, write_heartbeat
from watchdog import processes
from watchdog.browsers import Browser
from watchdog.policy import Rule
from watchdog.processes import Process

log = logging.getLogger(__name__)

_MOST_KILLS = 1000  # kills that wait for a disk


class StateWriter:
    """Heartbeat, kills and lock in one directory, made again if it is removed; with None nothing is written."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._backlog: Backlog[Kill | None] | None = (
            None if directory is None else Backlog(self._write, _MOST_KILLS, log)
        )
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
            log.warning("kill not recorded: %d kills are waiting for the disk of %s", _MOST_KILLS, self._directory)

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


_JOURNAL = re.compile(r"killing-(?P<pid>\d{1,10})-(?P<start>\d{1,20})\.json")
_LARGEST = 1_000_000  # bytes
_LONGEST_NAME = 15  # characters, as of every process
_PATIENCE = 0.1  # seconds that the first signal waits for the disk


class _OfAnotherContainerError(Exception):
    """The pids in a file belong to another pid namespace."""


class Journal:
    """Notes which processes are being killed: if the watchdog itself is killed, the next one completes its work.

    One file for each watchdog, named after it, in the state directory; there is none while nothing is being killed.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._next_text: str | None = None
        self._last_members: set[tuple[int, int]] = set()
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._has_failed = False
        self._old: list[Path] = []  # files of earlier watchdogs that were read

    def note(self, browsers: Iterable[Browser], *, wait: bool = False) -> None:
        """Write the members of these; `wait` a moment for that, unless the disk has hung before."""
        browsers = list(browsers)
        members = {member[:2] for browser in browsers for member in browser.members.values()}
        if self._directory is None or members == self._last_members:
            return
        self._last_members = members
        with self._lock:
            self._next_text = _as_text(browsers) if members else ""
            if not self._idle.is_set():
                return  # the thread that writes now writes this too
            self._idle.clear()
        in_background(self._write, log)
        if wait:
            self._idle.wait(_PATIENCE)

    def unfinished(self) -> list[Browser]:
        """Return what earlier watchdogs had begun to kill and is still alive."""
        found: list[Browser] = []
        for path in [] if self._directory is None else _of_others(self._directory):
            try:
                found += _unfinished(path)
            except _OfAnotherContainerError:
                continue  # its watchdog may be alive
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                log.warning("invalid journal %s ignored: %s", path, error)
            self._old.append(path)
        return found

    def remove_old(self) -> None:
        """Remove the files that were read; their processes are in this watchdog's own file by then."""
        for path in self._old:
            with contextlib.suppress(OSError):
                path.unlink()
        self._old.clear()

    def _write(self) -> None:
        while True:
            with self._lock:
                text, self._next_text = self._next_text, None
                if text is None:
                    self._idle.set()
                    return
            try:
                self._replace(text)
            except OSError as error:
                if not self._has_failed:
                    log.warning("the journal of kills cannot be written to %s: %s", self._directory, error)
                self._has_failed = True

    def _replace(self, text: str) -> None:
        me = processes.find(os.getpid())
        if me is None or self._directory is None:
            return
        path = self._directory / f"killing-{me.identity}.json"
        if text:
            write_whole(path, text, durable=False)
        else:
            path.unlink(missing_ok=True)


def _as_text(browsers: list[Browser]) -> str:
    terminations = [
        {
            "name": browser.main.name,
            "main": browser.main[:2],
            "members": [member[:2] for member in browser.members.values()],
        }
        for browser in browsers
    ]
    return json.dumps({"boot": _boot(), "pids": _pids(), "terminations": terminations})


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _pids() -> str:
    """Return the pid namespace: a container has its own."""
    return str(Path("/proc/self/ns/pid").readlink())


def _unfinished(path: Path) -> list[Browser]:
    owner, text = _read(path)
    value = json.loads(text)
    if value["boot"] != _boot():
        return []
    if value["pids"] != _pids():
        raise _OfAnotherContainerError
    return list(_browsers(value["terminations"], owner))


def _of_others(directory: Path) -> list[Path]:
    """Return the files of watchdogs that have ended."""
    found = []
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            match = _JOURNAL.fullmatch(path.name)
            if match is not None and not processes.alive(int(match["pid"]), int(match["start"])):
                found.append(path)
    return found


def _read(path: Path) -> tuple[int, bytes]:
    """Return the file's owner and content. Raise OSError or ValueError for anything but a small file of one name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_size > _LARGEST:
            raise ValueError("no file of a watchdog: it is not regular, has two names or is too large")
        return status.st_uid, os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)


def _browsers(terminations: list[dict[str, Any]], owner: int) -> Iterator[Browser]:
    """Yield what is alive of them. A file of another user than root can only name processes of that user."""
    for killing in terminations:
        members = {}
        for pid, start in killing["members"]:
            process = processes.find(int(pid))
            if process is None or process.is_dead or process.start != start:
                continue
            if owner in (0, processes.user(process.pid)):
                members[process.pid] = process
        if members:
            pid, start = killing["main"]
            yield _browser(Process(int(pid), int(start), 0, str(killing["name"])[:_LONGEST_NAME], "X"), members)


def _browser(main: Process, members: dict[int, Process]) -> Browser:
    uid, arguments = 0, []
    if main.pid in members:  # so that its profile can be removed at the end
        main = members[main.pid]
        uid, arguments = processes.user(main.pid) or 0, processes.arguments(main.pid)
    return Browser(main, Rule(), uid, arguments, members)
