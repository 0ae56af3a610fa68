"""Files of /proc, also those of a process that hangs, whose read may never return."""

import contextlib
import errno
import os
import queue
import threading
from collections import deque

_MAY_HANG = ("/cmdline", "/smaps_rollup")  # reading them takes the lock of the process's memory
_PATIENCE = 2.0  # seconds for the first that hangs of a user's processes; the second has half of it, and so on
_MOST_ABANDONED = 32  # abandoned reads for each user


def read(path: str, most: int) -> bytes:
    """Return at most `most` bytes of a file below /proc. Raise OSError; TimeoutError if the read does not return."""
    return (_read_patiently if path.endswith(_MAY_HANG) else read_at_once)(path, most)


def read_at_once(path: str, most: int) -> bytes:
    """Return at most `most` bytes of a file whose read returns at once. Raise OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def hangs(path: str) -> bool:
    """Return whether a read of this file was abandoned and has not returned."""
    return path in _abandoned and _abandoned[path][1].is_alive()


class _Reader(threading.Thread):
    """Reads one file after the other, until it is abandoned.

    A read about the memory of a process that hangs may never return. When it does not return in time, the thread is
    abandoned, and the file is not read again until it has returned.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._requests: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        self._responses: queue.SimpleQueue[bytes | OSError] = queue.SimpleQueue()
        self.start()

    def read(self, path: str, most: int, patience: float) -> bytes:
        """Return at most `most` bytes. Raise OSError; TimeoutError when it has to be abandoned."""
        self._requests.put((path, most))
        try:
            response = self._responses.get(timeout=patience)
        except queue.Empty:
            self._requests.put(None)
            raise _timeout(path) from None
        if isinstance(response, OSError):
            raise response
        return response

    def run(self) -> None:
        while request := self._requests.get():
            try:
                self._responses.put(read_at_once(*request))
            except OSError as error:
                self._responses.put(error)


_idle: deque[_Reader] = deque()
_abandoned: dict[str, tuple[int, _Reader]] = {}  # path → uid of its user, its reader


def _forget_readers() -> None:
    """Drop the threads, which do not exist in a forked process."""
    _idle.clear()
    _abandoned.clear()


os.register_at_fork(after_in_child=_forget_readers)


def _read_patiently(path: str, most: int) -> bytes:
    """Read in a thread, which is abandoned when the read does not return."""
    patience = _patience(path) if _abandoned else _PATIENCE
    reader = _take_reader()
    try:
        content = reader.read(path, most, patience)
    except TimeoutError:
        _abandoned[path] = _owner_of(path), reader
        raise
    except OSError:
        _idle.append(reader)
        raise
    _idle.append(reader)
    return content


def _patience(path: str) -> float:
    """Return the seconds to wait, fewer for a user with many hung processes. Raise TimeoutError for none at all."""
    for each, (_, reader) in list(_abandoned.items()):
        if not reader.is_alive():
            _abandoned.pop(each, None)
    user = _owner_of(path)
    hanging = sum(uid == user for uid, _ in list(_abandoned.values()))
    if path in _abandoned or hanging >= _MOST_ABANDONED:
        raise _timeout(path)
    return _PATIENCE / (1 + hanging)


def _timeout(path: str) -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "the kernel does not respond", path)


def _take_reader() -> _Reader:
    with contextlib.suppress(IndexError):
        return _idle.pop()
    return _Reader()


def _owner_of(path: str) -> int:
    """Return the owner of a file, -1 if it is gone."""
    try:
        return os.stat(path).st_uid  # noqa: PTH116 - a string, as everywhere for /proc
    except OSError:
        return -1
