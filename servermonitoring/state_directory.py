"""State directory: holds history, spools and the watchdog's kills. Its lock lets one run, or one watchdog, use it."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from servermonitoring import clock
from servermonitoring.files import at_home, private_directory, remove_abandoned
from servermonitoring.values import in_words

ALREADY_RUNNING = 6  # exit status of a run that finds the lock taken


def directory(configured: str | None = None, *, root_may_share: bool = False) -> Path:
    """Return the state directory, created with mode 0700.

    It is `[state] directory`, else below $XDG_STATE_HOME, else below ~/.local/state. `root_may_share`: root's watchdog
    writes its state for the suite of another user. Raise OSError if it cannot be created.
    """
    found = private_directory(location(configured), root_may_share=root_may_share)
    remove_abandoned(found)
    return found


def location(configured: str | None = None) -> Path:
    """Return the path of the state directory without creating it."""
    if configured:
        return at_home(configured)
    base = at_home(os.environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else at_home("~/.local/state")) / "servermonitoring"


_WAIT = 2.0  # seconds for another process that is writing: runs of reports and of checks may overlap
_POLL = 0.02  # seconds


@contextlib.contextmanager
def changing(directory: Path) -> Iterator[None]:
    """Hold the lock of those that read a file of the state directory, change it and write it.

    Raise TimeoutError if another process holds it for too long, OSError if there is no such directory.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = clock.monotonic() + _WAIT
        while not _has_lock(descriptor):
            if clock.monotonic() > end:
                raise TimeoutError(f"another run has been writing for {_WAIT:g} s")
            clock.sleep(_POLL)
        yield
    finally:
        os.close(descriptor)


def _has_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class AlreadyRunningError(Exception):
    """Another process holds the lock."""


class InstanceLock:
    """The lock of one run, or one watchdog, for each state directory.

    Held from `take` to the end of the process; no child of the process inherits it.

    flock() belongs to every process that has the open file: a forked child closes it at once, a child that executes a
    program by O_CLOEXEC. A POSIX record lock would not be inherited either, but is lost as soon as anything in this
    process opens and closes the file.
    """

    def __init__(self, directory: Path, name: str = "run.lock", holder: str = "run of the health checks") -> None:
        """`holder` names what holds the lock, in the message about another one."""
        self.path, self._holder = directory / name, holder
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock; never wait. Raise AlreadyRunningError, or OSError if there can be no such file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        os.register_at_fork(after_in_child=self.release)

    def _lock(self, descriptor: int) -> None:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a file", str(self.path))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(descriptor, 100).decode(errors="replace")
            raise AlreadyRunningError(f"another {self._holder} is alive{_details(text)}") from None
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the note
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {clock.time():.0f}".encode())

    def release(self) -> None:
        """Close this process's descriptor; the lock ends with the last one of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _details(note: str) -> str:
    try:
        pid, started = note.split()
        age = in_words(max(0, round(clock.time() - float(started))))
    except (ValueError, OverflowError):
        return ""
    return f": pid {pid}, for {age}"
