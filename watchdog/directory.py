"""The directory of validation records: shared by users who need not trust each other, in a place like /tmp.

It is safe when it belongs to root or to the user who asks, and lets nobody else remove what is not theirs.
Root takes it over if another user made it first; anyone else refuses to believe what is in it.
"""

import logging
import os
import stat
from pathlib import Path

VARIABLE = "WATCHDOG_VALIDATED_DIR"
DEFAULT = "/tmp/watchdog-validated"  # noqa: S108 - hostile ground, and treated as such
_SHARED, _PRIVATE = 0o1777, 0o700
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

log = logging.getLogger(__name__)


def location() -> Path:
    return Path(os.environ.get(VARIABLE) or DEFAULT)


def open_to_write() -> int:
    """A descriptor of the directory, made if it is missing. Raises OSError that says what is wrong."""
    path = location()
    try:
        return _open(path)
    except FileNotFoundError:
        _make(path)
        return _open(path)


def open_to_believe() -> int:
    """The same, once it is certain that no other user can plant or remove records. Raises OSError."""
    descriptor = open_to_write()
    try:
        _secure(descriptor, location())
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open(path: Path) -> int:
    try:
        return os.open(path, _FLAGS)
    except NotADirectoryError:
        what = "a symbolic link" if path.is_symlink() else "not a directory"
        raise NotADirectoryError(
            f"{path} is {what}: remove it, or set ${VARIABLE} to a safe directory"
        ) from None


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=_PRIVATE)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        descriptor = _open(path)
        os.fchmod(descriptor, _SHARED)
        os.close(descriptor)


def _secure(descriptor: int, path: Path) -> None:
    status, me = os.fstat(descriptor), os.geteuid()
    if status.st_uid not in (0, me):
        if me != 0:
            raise PermissionError(
                f"{path} belongs to user {status.st_uid}, who could forge or remove records in it: "
                f"remove it, or set ${VARIABLE} to a safe directory"
            )
        log.warning("%s was made by user %d: taken over by root", path, status.st_uid)
        os.fchown(descriptor, 0, 0)
    mode = stat.S_IMODE(status.st_mode)
    if me == 0 and mode != _SHARED:
        os.fchmod(descriptor, _SHARED)
    elif mode & 0o022 and not mode & stat.S_ISVTX:
        _make_sticky(descriptor, status, path)


def _make_sticky(descriptor: int, status: os.stat_result, path: Path) -> None:
    if status.st_uid != os.geteuid():
        raise PermissionError(f"any user can remove records in {path}: chmod 1777 it")
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | stat.S_ISVTX)
