"""The directory of validation records: shared by users who need not trust each other, in a place like /tmp.

It is safe if it belongs to root or to this user, and nobody can remove the files of others in it. Root takes it over
if another user made it first; other users ignore its content. While no record can be made in it, or when records were
lost, the time limits are suspended.
"""

import contextlib
import errno
import functools
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from watchdog import processes
from watchdog.validation import records

VARIABLE = "WATCHDOG_VALIDATED_DIR"
DEFAULT = "/tmp/watchdog-validated"  # noqa: S108 - untrusted, and treated as such
_SHARED, _PRIVATE = 0o1777, 0o700
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

log = logging.getLogger(__name__)


def location() -> Path:
    return _path(os.environ.get(VARIABLE) or DEFAULT)


def open_to_write() -> int:
    """Return a descriptor of the directory, made if it is missing. Raise OSError with the reason."""
    return _open_or_make(location())[0]


@contextlib.contextmanager
def opened() -> Iterator[int]:
    """Yield a descriptor of the directory if no other user can plant or remove records. Raise OSError."""
    path = location()
    descriptor = _open(path)
    try:
        _check(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def repair() -> bool:
    """Make the directory if it is missing, and safe as far as this user can; return whether records may be lost.

    They may be if it was missing, or if another user could have removed them. Raise OSError.
    """
    descriptor, is_new = _open_or_make(location())
    try:
        return _make_safe(descriptor, location()) or is_new
    finally:
        os.close(descriptor)


def write_temporary(descriptor: int, name: str, content: bytes) -> str:
    """Write a temporary file for a record of this name; return its name. Raise OSError."""
    temporary = f".{name}.{os.urandom(6).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o600, dir_fd=descriptor)
    try:
        try:
            if os.write(file, content) < len(content):  # never flushed to the disk: that could wait
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
    except BaseException:
        os.unlink(temporary, dir_fd=descriptor)
        raise
    return temporary


@functools.lru_cache(maxsize=1)
def _path(text: str) -> Path:
    return Path(text)


def _open(path: Path) -> int:
    try:
        return os.open(path, _FLAGS)
    except NotADirectoryError:
        what = "a symbolic link" if path.is_symlink() else "not a directory"
        raise NotADirectoryError(f"{path} is {what}: remove it, or set ${VARIABLE} to a safe directory") from None


def _open_or_make(path: Path) -> tuple[int, bool]:
    """Return a descriptor of the directory, and whether it was missing. Raise OSError."""
    try:
        return _open(path), False
    except FileNotFoundError:
        _make(path)
        return _open(path), True


def _make(path: Path) -> None:
    """Make it private; shared if root makes it, or if others could make one and would be kept out of this one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=_PRIVATE)
    except FileExistsError:
        return
    if os.geteuid() == 0 or path.parent.stat().st_mode & stat.S_IWOTH:
        descriptor = _open(path)
        try:
            os.fchmod(descriptor, _SHARED)
        finally:
            os.close(descriptor)


def _make_safe(descriptor: int, path: Path) -> bool:
    """Return whether another user could have removed records before."""
    status, me = os.fstat(descriptor), os.geteuid()
    mode = stat.S_IMODE(status.st_mode)
    if me == 0 and status.st_uid != 0:
        log.warning("%s was made by user %d: taken over by root", path, status.st_uid)
        os.fchown(descriptor, 0, 0)
    if me == 0 and mode != _SHARED:
        os.fchmod(descriptor, _SHARED)
    elif me == status.st_uid and _open_to_all(mode):
        os.fchmod(descriptor, mode | stat.S_ISVTX)
    return _open_to_all(mode) or status.st_uid not in (0, me)


def _check(descriptor: int, path: Path) -> None:
    status = os.fstat(descriptor)
    if status.st_uid not in (0, os.geteuid()):
        raise PermissionError(
            f"{path} belongs to user {status.st_uid}, who could forge or remove records in it: "
            f"remove it, or set ${VARIABLE} to a safe directory"
        )
    if _open_to_all(stat.S_IMODE(status.st_mode)):
        raise PermissionError(f"any user can remove records in {path}: chmod 1777 it")


def _open_to_all(mode: int) -> bool:
    return bool(mode & 0o022) and not mode & stat.S_ISVTX


_TEST_EVERY = 0.5  # seconds


class Suspension:
    """Tests the directory of records. All times are seconds of uptime."""

    def __init__(self, *, repair: bool, first: bool = True) -> None:
        """With `repair` make the directory, or make it safe, and write files to test it.

        A missing directory has lost no records if no watchdog before this `first` one knew of validations.
        """
        self._repair = repair
        self.reason = ""  # why the time limits are suspended now; empty if they are in force
        self._tested_at = float("-inf")
        self._sentinel = _Sentinel()
        self.excused_until = 0.0  # until then a missing validation means nothing
        if repair and first:
            with contextlib.suppress(OSError):  # the test will report it
                os.close(open_to_write())

    def test(self, now: float, *, thoroughly: bool = False) -> None:
        """Ask the file system, at most twice a second; thoroughly: at once, and by writing a file."""
        if not thoroughly and now - self._tested_at < _TEST_EVERY:
            return
        self._tested_at = now
        try:
            if self._repair and repair():
                self.excused_until = now
            self._try(now, thoroughly=self._repair and (thoroughly or bool(self.reason)))
        except OSError as error:
            self._suspend(str(error), now)
        else:
            self._resume()

    def create_sentinel(self) -> None:
        """Notice from now on that records are removed."""
        if self._repair and not self.reason:
            try:
                self._sentinel.create()
            except OSError as error:
                log.debug("the directory of records passed its test, but cannot be written to: %s", error)

    def _try(self, now: float, *, thoroughly: bool) -> None:
        try:
            with opened() as descriptor:
                if self._sentinel.is_lost(descriptor):
                    self.excused_until = now
                _check_space(descriptor)
                if thoroughly:
                    _try_to_write(descriptor)
        except FileNotFoundError:
            if self._repair:
                raise
            # A reader does not make it, and the first record would.

    def _suspend(self, reason: str, now: float) -> None:
        if not self.reason:
            log.error("validations cannot be recorded, so only memory limits apply: %s", reason)
        self.reason, self.excused_until = reason, now

    def _resume(self) -> None:
        if self.reason:
            log.info("validations can be recorded again: the time limits apply, and count from now on")
        self.reason = ""


def _check_space(descriptor: int) -> None:
    """Ask the file system, at almost no cost. Raise OSError if nobody but root can make a file there."""
    status = os.fstatvfs(descriptor)
    if status.f_flag & os.ST_RDONLY:
        raise _error_of(errno.EROFS)
    if status.f_blocks and not status.f_bavail:
        raise _error_of(errno.ENOSPC)
    if status.f_files and not status.f_favail:  # some file systems do not count them
        raise OSError(errno.ENOSPC, f"no inodes left: {location()}")


def _try_to_write(descriptor: int) -> None:
    """Write a file as a record is written, and remove it: only so quotas and remounts show. Raise OSError."""
    os.unlink(write_temporary(descriptor, processes.own_identity(), b"0.00\n"), dir_fd=descriptor)


def _error_of(number: int) -> OSError:
    return OSError(number, f"{os.strerror(number)}: {location()}")


class _Sentinel:
    """A file among the records, whose absence shows that records were removed.

    Nobody can take its name in advance, and it is removed like a record once this process has ended.
    """

    def __init__(self) -> None:
        self._name = ""

    def create(self) -> None:
        """Create it if it is missing. Raise OSError."""
        if self._name:
            return
        content = f"0.00\nthe watchdog's own{records.mark()}\n".encode()
        with opened() as descriptor:
            self._name = write_temporary(descriptor, processes.own_identity(), content)

    def is_lost(self, descriptor: int) -> bool:
        """Return whether it was removed from this directory since it was created. Raise OSError."""
        if not self._name:
            return False
        try:
            os.stat(self._name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            log.warning("validation records were removed from %s: the time limits count from now on", location())
            self._name = ""
            return True
        return False
