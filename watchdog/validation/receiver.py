"""Receives validations through the socket, in a thread of its own. Senders are bounded in size and rate."""

import contextlib
import json
import os
import re
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from servermonitoring.files import read_regular, write_whole
from watchdog import processes
from watchdog.clock import uptime
from watchdog.processes import Process

_LARGEST_DATAGRAM = 64  # bytes of a datagram
_MOST_DATAGRAMS = 500  # datagrams in a second; the kernel refuses what comes beyond them and does not fit its queue
_ANYBODY = 0o666  # may send; what is believed is another matter
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of the sender


class Receiver:
    """Listens until it is closed."""

    def __init__(self, path: Path, hear: Callable[[bytes, int], None]) -> None:
        """Pass each datagram and its sender's uid on. Raise OSError if the socket cannot be made or is not safe."""
        self._path, self._hear = path, hear
        self._socket, self._closed = _bound(path), False
        self._inode = path.stat().st_ino
        threading.Thread(target=self._receive, name="validations", daemon=True).start()

    def close(self) -> None:
        """Remove the socket, unless another watchdog has put its own in its place."""
        self._closed = True
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)  # which wakes the thread

    def _receive(self) -> None:
        count, begun = 0, time.monotonic()
        while not self._closed:
            with contextlib.suppress(OSError):  # short of memory or descriptors: the next may go well
                self._hear(*_next(self._socket))
            count += 1
            if count >= _MOST_DATAGRAMS:
                time.sleep(max(0.0, begun + 1 - time.monotonic()))
                count, begun = 0, time.monotonic()


def _next(receiver: socket.socket) -> tuple[bytes, int]:
    """Return the next datagram, and the uid of its sender as the kernel tells it. Raise OSError."""
    room = socket.CMSG_SPACE(_CREDENTIALS.size)  # for nothing else: descriptors that come with it are closed
    message, more, *_ = receiver.recvmsg(_LARGEST_DATAGRAM, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in more:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return message, _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[1]
    raise OSError("a datagram of nobody, or the end")


def _bound(path: Path) -> socket.socket:
    _make(path.parent)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        _check(directory, path.parent)
        place = f"/proc/self/fd/{directory}/{path.name}"  # short enough, whatever the path
        _remove_abandoned(place, path)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        receiver.bind(place)
        os.chmod(path.name, _ANYBODY, dir_fd=directory)
    except BaseException:
        receiver.close()
        raise
    finally:
        os.close(directory)
    return receiver


def _make(directory: Path) -> None:
    """Root's is open to senders of all users, whatever the umask; a user's own need not be."""
    try:
        directory.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        directory.chmod(0o755)


def _check(directory: int, path: Path) -> None:
    status = os.fstat(directory)
    if status.st_uid not in (0, os.geteuid()) or stat.S_IMODE(status.st_mode) & 0o022:
        raise PermissionError(f"other users may write to {path}")


def _remove_abandoned(place: str, path: Path) -> None:
    """Remove the socket of a watchdog that was killed. Raise OSError where one still listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(place)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            os.unlink(place)  # noqa: PTH108 - through the descriptor
            return
    raise OSError(f"another watchdog listens at {path}")


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
