"""Receiver of validations through the socket, in a thread. Senders are bounded in size and rate."""

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
from watchdog.processes import Process, uptime

_LARGEST_DATAGRAM = 64  # bytes of a datagram
_MOST_DATAGRAMS = 500  # a second; the kernel refuses what does not fit its queue then
_ANYBODY = 0o666  # may send; whose validations count is decided by the sender's uid
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of the sender


class Receiver:
    """Receives datagrams until it is closed."""

    def __init__(self, path: Path, handle: Callable[[bytes, int], None]) -> None:
        """Pass each datagram and its sender's uid on. Raise OSError if the socket cannot be made or is not safe."""
        self._path, self._handle = path, handle
        self._socket, self._is_closed = _bind(path), False
        self._inode = path.stat().st_ino
        threading.Thread(target=self._receive, name="validations", daemon=True).start()

    def close(self) -> None:
        """Remove the socket, unless another watchdog has put its own in its place."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)  # which wakes the thread

    def _receive(self) -> None:
        count, since = 0, time.monotonic()
        while not self._is_closed:
            with contextlib.suppress(OSError):  # short of memory or descriptors: the next may succeed
                self._handle(*_next(self._socket))
            count += 1
            if count >= _MOST_DATAGRAMS:
                time.sleep(max(0.0, since + 1 - time.monotonic()))
                count, since = 0, time.monotonic()


def _next(receiver: socket.socket) -> tuple[bytes, int]:
    """Return the next datagram, and the uid of its sender, given by the kernel. Raise OSError."""
    room = socket.CMSG_SPACE(_CREDENTIALS.size)  # for nothing else: descriptors that come with it are closed
    message, more, *_ = receiver.recvmsg(_LARGEST_DATAGRAM, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in more:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return message, _CREDENTIALS.unpack(content[: _CREDENTIALS.size])[1]
    raise OSError("a datagram without sender, or the end")


def _bind(path: Path) -> socket.socket:
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
    """Make the directory; root's is open to senders of all users, whatever the umask."""
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
    """Remove the socket of a watchdog that was killed. Raise OSError if one still listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(place)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            os.unlink(place)  # noqa: PTH108 - through the descriptor
            return
    raise OSError(f"another watchdog listens on {path}")


_FILE = "validations.json"
_MOST = 10_000  # processes
_LARGEST = 1_000_000  # bytes
_SLACK = 1.0  # seconds by which a validation may lie outside the process's life
_MESSAGE = re.compile(rb"(\d{1,10})-(\d{1,20}) (\d{1,12}(?:\.\d{1,6})?)\n?")
Key = tuple[int, int]  # (pid, start)


class Validations:
    """The last validation of each process. Bounded: only a living process's own user, or root, can validate it."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self.is_saved = True
        self._lock = threading.Lock()  # the socket is read by a thread of its own

    def receive(self, message: bytes, uid: int) -> None:
        """Note the validation in a datagram of this user; ignore an invalid one."""
        match = _MESSAGE.fullmatch(message)
        if match is None:
            return
        pid, start, time, now = int(match[1]), int(match[2]), float(match[3]), uptime()
        process = processes.find(pid)
        if process is None or process.start != start or process.is_dead or uid not in (0, processes.user(pid)):
            return
        if process.started_at - _SLACK <= time <= now + _SLACK:
            self.note(process, min(time, now))

    def note(self, process: Process, time: float) -> None:
        """Note a validation (uptime) of a process, if it is the newest."""
        key = process.pid, process.start
        with self._lock:
            known = self._times.get(key)
            if time > known if known is not None else len(self._times) < _MOST:
                self._times[key], self.is_saved = time, False

    def newest(self, members: Iterable[Process]) -> float | None:
        """Return when any of these was last validated (uptime); None if unknown."""
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
            self.is_saved &= not dead

    def save(self, state: Path) -> None:
        """Write all to the state directory, for the next watchdog. Raise OSError."""
        with self._lock:
            if self.is_saved:
                return
            content = {f"{pid}-{start}": round(time, 2) for (pid, start), time in self._times.items()}
            self.is_saved = True
        try:
            write_whole(state / _FILE, json.dumps(content), durable=False)
        except OSError:
            self.is_saved = False
            raise

    def load(self, state: Path) -> bool:
        """Load the validations of living processes that an earlier watchdog saved; return whether there are any.

        Invalid content is ignored.
        """
        try:
            content = json.loads(read_regular(state / _FILE, _LARGEST))
            lines = [f"{name} {time}".encode() for name, time in content.items()]
        except (OSError, ValueError, AttributeError, RecursionError):
            return False
        for line in lines:
            self.receive(line, 0)
        return bool(self._times)
