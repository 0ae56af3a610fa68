"""Receives validations through the socket, in a thread of its own. Senders are bounded in size and rate."""

import contextlib
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

_LARGEST = 64  # bytes of a datagram
_MOST = 500  # datagrams in a second; the kernel refuses what comes beyond them and does not fit its queue
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
            if count >= _MOST:
                time.sleep(max(0.0, begun + 1 - time.monotonic()))
                count, begun = 0, time.monotonic()


def _next(receiver: socket.socket) -> tuple[bytes, int]:
    """Return the next datagram, and the uid of its sender as the kernel tells it. Raise OSError."""
    room = socket.CMSG_SPACE(_CREDENTIALS.size)  # for nothing else: descriptors that come with it are closed
    message, more, *_ = receiver.recvmsg(_LARGEST, room, socket.MSG_CMSG_CLOEXEC)
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
