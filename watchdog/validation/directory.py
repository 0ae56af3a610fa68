"""The directory of validation records: shared by users who need not trust each other, in a place like /tmp.

It is safe when it belongs to root or to the user who asks, and lets nobody else remove what is not theirs.
Root takes it over if another user made it first; anyone else refuses to believe what is in it.
"""

import contextlib
import errno
import functools
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "WATCHDOG_VALIDATED_DIR"
DEFAULT = "/tmp/watchdog-validated"  # noqa: S108 - hostile ground, and treated as such
_SHARED, _PRIVATE = 0o1777, 0o700
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

log = logging.getLogger(__name__)


def location() -> Path:
    return _path(os.environ.get(VARIABLE) or DEFAULT)


def open_to_write() -> int:
    """Return a descriptor of the directory, made if it is missing. Raise OSError that says what is wrong."""
    path = location()
    try:
        return _open(path)
    except FileNotFoundError:
        _make(path)
        return _open(path)


@contextlib.contextmanager
def opened() -> Iterator[int]:
    """Give the same, once it is certain that no other user can plant or remove records. Raise OSError."""
    path = location()
    descriptor = _open(path)
    try:
        _check(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def repair() -> bool:
    """Make the directory if it is missing, and safe as far as this user can; return whether records may be lost.

    They may be where it was missing, or another user could have removed them. Raise OSError.
    """
    path = location()
    made = not path.is_dir()
    descriptor = open_to_write()
    try:
        return _make_safe(descriptor, path) or made
    finally:
        os.close(descriptor)


def write_beside(descriptor: int, name: str, content: bytes) -> str:
    """Write a new file, for a record of this name that is not in its place yet; return its name. Raise OSError."""
    beside = f".{name}.{os.urandom(6).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(beside, flags, 0o600, dir_fd=descriptor)
    try:
        try:
            if os.write(file, content) < len(content):  # never flushed to the disk: that could wait
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
    except BaseException:
        os.unlink(beside, dir_fd=descriptor)
        raise
    return beside


@functools.lru_cache(maxsize=1)
def _path(text: str) -> Path:
    return Path(text)


def _open(path: Path) -> int:
    try:
        return os.open(path, _FLAGS)
    except NotADirectoryError:
        what = "a symbolic link" if path.is_symlink() else "not a directory"
        raise NotADirectoryError(f"{path} is {what}: remove it, or set ${VARIABLE} to a safe directory") from None


def _make(path: Path) -> None:
    """Private; shared where root makes it, or where others can make one, and would be kept out of this one."""
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
