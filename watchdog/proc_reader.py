"""Reads files of /proc that may never return: those about the memory of a process that hangs with its lock held.

Each is read in a thread. One that does not return in time is abandoned, and nobody asks for that file again until it
has returned.
"""

import contextlib
import errno
import os
import queue
import threading
from collections import deque

_PATIENCE = 2.0  # seconds for the first that hangs of a user's processes; the second has half of it, and so on
_MOST = 32  # abandoned reads for each user


class Reader(threading.Thread):
    """Reads one file after the other, until it is abandoned."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._asked: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bytes | OSError] = queue.SimpleQueue()
        self.start()

    def read(self, path: str, most: int, patience: float) -> bytes:
        """Return at most `most` bytes. Raise OSError; TimeoutError when it has to be abandoned."""
        self._asked.put((path, most))
        try:
            answer = self._answers.get(timeout=patience)
        except queue.Empty:
            self._asked.put(None)
            raise _timeout(path) from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def run(self) -> None:
        while asked := self._asked.get():
            try:
                self._answers.put(read_at_once(*asked))
            except OSError as error:
                self._answers.put(error)


_idle: deque[Reader] = deque()
_abandoned: dict[str, tuple[int, Reader]] = {}  # path → whose it is, who still reads it


def _forget() -> None:
    """Threads do not come along into a process that is forked."""
    _idle.clear()
    _abandoned.clear()


os.register_at_fork(after_in_child=_forget)


def read(path: str, most: int) -> bytes:
    """At most `most` bytes of a file of one process. Raise OSError; TimeoutError if it does not answer in time."""
    patience = _patience(path) if _abandoned else _PATIENCE
    reader = _take()
    try:
        content = reader.read(path, most, patience)
    except TimeoutError:
        _abandoned[path] = _user_of(path), reader
        raise
    except OSError:
        _idle.append(reader)
        raise
    _idle.append(reader)
    return content


def hangs(path: str) -> bool:
    """Whether a read of this file was abandoned and has not returned."""
    return path in _abandoned and _abandoned[path][1].is_alive()


def read_at_once(path: str, most: int) -> bytes:
    """Return at most `most` bytes of a file that answers at once. Raise OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def _patience(path: str) -> float:
    """Seconds to wait, less for a user many of whose processes hang. Raise TimeoutError for none at all."""
    for each, (_, reader) in list(_abandoned.items()):
        if not reader.is_alive():
            _abandoned.pop(each, None)
    user = _user_of(path)
    hanging = sum(whose == user for whose, _ in list(_abandoned.values()))
    if path in _abandoned or hanging >= _MOST:
        raise _timeout(path)
    return _PATIENCE / (1 + hanging)


def _timeout(path: str) -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "the kernel does not answer", path)


def _take() -> Reader:
    with contextlib.suppress(IndexError):
        return _idle.pop()
    return Reader()


def _user_of(path: str) -> int:
    """The owner of a file, -1 where that is gone."""
    try:
        return os.stat(path).st_uid  # noqa: PTH116 - a text, as in all that reads /proc
    except OSError:
        return -1
