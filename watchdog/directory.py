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


def open_to_believe(*, repair: bool) -> int:
    """The same, once it is certain that no other user can plant or remove records.

    With `repair` it is made if it is missing, and made safe as far as this user can. Raises OSError.
    """
    path = location()
    descriptor = open_to_write() if repair else _open(path)
    try:
        if repair:
            _make_safe(descriptor, path)
        _check(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open(path: Path) -> int:
    try:
        return os.open(path, _FLAGS)
    except NotADirectoryError:
        what = "a symbolic link" if path.is_symlink() else "not a directory"
        raise NotADirectoryError(f"{path} is {what}: remove it, or set ${VARIABLE} to a safe directory") from None


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


def _make_safe(descriptor: int, path: Path) -> None:
    status, me = os.fstat(descriptor), os.geteuid()
    mode = stat.S_IMODE(status.st_mode)
    if me == 0 and status.st_uid != 0:
        log.warning("%s was made by user %d: taken over by root", path, status.st_uid)
        os.fchown(descriptor, 0, 0)
    if me == 0 and mode != _SHARED:
        os.fchmod(descriptor, _SHARED)
    elif me == status.st_uid and _open_to_all(mode):
        os.fchmod(descriptor, mode | stat.S_ISVTX)


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
