"""The newest validation known of each process: heard through the socket, or known to an earlier watchdog."""

import json
import re
import threading
from collections.abc import Iterable
from pathlib import Path

from servermonitoring.files import read_regular, write_whole
from watchdog import processes
from watchdog.clock import uptime
from watchdog.processes import Process

_FILE = "validations.json"
_MOST = 10_000  # processes
_LARGEST = 1_000_000  # bytes
_SLACK = 1.0  # seconds by which a validation may lie outside the process's life
_MESSAGE = re.compile(rb"(\d{1,10})-(\d{1,20}) (\d{1,12}(?:\.\d{1,6})?)\n?")

Key = tuple[int, int]  # (pid, start)


class Validations:
    """Bounded, whoever sends: only a living process's own user, or root, can have it remembered."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self._saved: dict[str, float] = {}
        self._lock = threading.Lock()  # the socket is read by a thread of its own

    def hear(self, message: bytes, uid: int) -> None:
        """Take in a datagram of this user; one that is not to be believed is dropped."""
        match = _MESSAGE.fullmatch(message)
        if match is None:
            return
        pid, start, time, now = int(match[1]), int(match[2]), float(match[3]), uptime()
        process = processes.look(pid)
        if process is None or process.start != start or process.is_dead or uid not in (0, processes.user(pid)):
            return
        if process.started - _SLACK <= time <= now + _SLACK:
            self.note(process, min(time, now))

    def note(self, process: Process, time: float) -> None:
        """Keep the newest validation (uptime) of a process."""
        key = process.pid, process.start
        with self._lock:
            if key in self._times or len(self._times) < _MOST:
                self._times[key] = max(time, self._times.get(key, time))

    def newest(self, members: Iterable[Process]) -> float | None:
        """Return when any of these was last validated (uptime), as far as is known here."""
        with self._lock:
            known = [self._times[key] for each in members if (key := (each.pid, each.start)) in self._times]
        return max(known, default=None)

    def forget_dead(self) -> None:
        with self._lock:
            keys = list(self._times)
        dead = [key for key in keys if not processes.alive(*key)]
        with self._lock:
            for key in dead:
                del self._times[key]

    def save(self, state: Path) -> None:
        """Write all to the state directory, for the next watchdog. Raise OSError."""
        with self._lock:
            content = {f"{pid}-{start}": round(time, 2) for (pid, start), time in self._times.items()}
        if content != self._saved:
            write_whole(state / _FILE, json.dumps(content), durable=False)
            self._saved = content

    def load(self, state: Path) -> bool:
        """Take in what an earlier watchdog knew of processes that still live, and return whether it knew any.

        Rubbish is passed over.
        """
        try:
            content = json.loads(read_regular(state / _FILE, _LARGEST))
            lines = [f"{name} {time}".encode() for name, time in content.items()]
        except (OSError, ValueError, AttributeError, RecursionError):
            return False
        for line in lines:
            self.hear(line, 0)
        return bool(self._times)
