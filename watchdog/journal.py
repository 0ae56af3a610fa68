"""Which processes are being killed, on disk: the next watchdog completes what one that was killed had begun.

One file for each watchdog, named after it, in the state directory; there is none while nothing is being killed.
A disk that hangs holds up no killing: the files are written in a thread.
"""

import contextlib
import json
import logging
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from servermonitoring.files import write_whole
from watchdog import processes
from watchdog.background import in_background
from watchdog.browser import Family
from watchdog.processes import Process
from watchdog.rules import Rule

log = logging.getLogger(__name__)

_NAME = re.compile(r"killing-(?P<pid>\d{1,10})-(?P<start>\d{1,20})\.json")
_LARGEST = 1_000_000  # bytes
_LONGEST_NAME = 15  # characters, as of every process
_PATIENCE = 0.1  # seconds that the first signal waits for the disk


class _OfAnotherContainerError(Exception):
    """The pids in a file are not those that are seen here."""


class Journal:
    """Notes what is being killed."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._wanted: str | None = None
        self._noted: set[tuple[int, int]] = set()
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._failed = False
        self._old: list[Path] = []  # files of others that were read

    def note(self, families: Iterable[Family], *, wait: bool = False) -> None:
        """Write down the members of these; `wait` a moment until it is done, unless the disk has hung before."""
        families = list(families)
        members = {member[:2] for family in families for member in family.members.values()}
        if self._directory is None or members == self._noted:
            return
        self._noted = members
        with self._lock:
            self._wanted = _as_text(families) if members else ""
            if not self._idle.is_set():
                return  # the thread that writes takes this, too
            self._idle.clear()
        in_background(self._write)
        if wait:
            self._idle.wait(_PATIENCE)

    def unfinished(self) -> list[Family]:
        """What watchdogs that are no more had begun to kill, and still lives."""
        found: list[Family] = []
        for path in [] if self._directory is None else _of_others(self._directory):
            try:
                found += _unfinished(path)
            except _OfAnotherContainerError:
                continue  # whose watchdog may live
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                log.warning("%s, of what was being killed, is not believed: %s", path, error)
            self._old.append(path)
        return found

    def remove_old(self) -> None:
        """Remove the files that were read, when what they say is noted in this one's own."""
        for path in self._old:
            with contextlib.suppress(OSError):
                path.unlink()
        self._old.clear()

    def _write(self) -> None:
        while True:
            with self._lock:
                text, self._wanted = self._wanted, None
                if text is None:
                    self._idle.set()
                    return
            try:
                self._replace(text)
            except OSError as error:
                if not self._failed:
                    log.warning("what is being killed cannot be noted in %s: %s", self._directory, error)
                self._failed = True

    def _replace(self, text: str) -> None:
        me = processes.look(os.getpid())
        if me is None or self._directory is None:
            return
        path = self._directory / f"killing-{me.identity}.json"
        if text:
            write_whole(path, text, durable=False)
        else:
            path.unlink(missing_ok=True)


def _as_text(families: list[Family]) -> str:
    killings = [
        {
            "name": family.main.name,
            "main": family.main[:2],
            "members": [member[:2] for member in family.members.values()],
        }
        for family in families
    ]
    return json.dumps({"boot": _boot(), "pids": _pids(), "killings": killings})


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _pids() -> str:
    """Whose pids these are: a container has its own."""
    return str(Path("/proc/self/ns/pid").readlink())


def _unfinished(path: Path) -> list[Family]:
    owner, text = _read(path)
    value = json.loads(text)
    if value["boot"] != _boot():
        return []
    if value["pids"] != _pids():
        raise _OfAnotherContainerError
    return list(_families(value["killings"], owner))


def _of_others(directory: Path) -> list[Path]:
    """The files of watchdogs that are no more."""
    found = []
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None and not processes.alive(int(match["pid"]), int(match["start"])):
                found.append(path)
    return found


def _read(path: Path) -> tuple[int, bytes]:
    """The file's owner and content. Raises OSError or ValueError for anything but a small file of one name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_size > _LARGEST:
            raise ValueError("is no file that a watchdog has written")
        return status.st_uid, os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)


def _families(killings: list[dict[str, Any]], owner: int) -> Iterator[Family]:
    """What lives of them. A file of another user than root can only name processes of that user."""
    for killing in killings:
        members = {}
        for pid, start in killing["members"]:
            process = processes.look(int(pid))
            if process is None or process.is_dead or process.start != start:
                continue
            if owner in (0, processes.user(process.pid)):
                members[process.pid] = process
        if members:
            pid, start = killing["main"]
            yield _family(Process(int(pid), int(start), 0, str(killing["name"])[:_LONGEST_NAME], "X"), members)


def _family(main: Process, members: dict[int, Process]) -> Family:
    uid, arguments = 0, []
    if main.pid in members:  # its profile can be removed in the end
        main = members[main.pid]
        uid, arguments = processes.user(main.pid) or 0, processes.arguments(main.pid)
    return Family(main, Rule(), uid, arguments, members)
