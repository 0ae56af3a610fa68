"""`watchdog clean`: removes what dead browsers left in /tmp."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from watchdog import profiles, removal, usage

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Leftover(NamedTuple):
    """Something that a dead browser left."""

    path: Path
    size: int  # bytes on the disk
    error: str = ""  # why it is still there


def clean(directory: Path, older_than: float, *, dry_run: bool) -> Iterator[Leftover]:
    """Remove the leftovers of that age (seconds) in a directory, or only tell them. Raises OSError."""
    used = usage.used_entries(directory)
    parent = os.open(directory, _FLAGS)
    try:
        for name in sorted(os.listdir(parent)):  # noqa: PTH208 - a descriptor
            if profiles.temporary(name) and name not in used and _is_left(parent, name, older_than):
                yield _leftover(directory, parent, name, dry_run=dry_run)
    finally:
        os.close(parent)


def remove_profiles(arguments: list[str], uid: int) -> list[Leftover]:
    """Remove the temporary profile of a browser that was killed; of its own user's, and of no other's."""
    removed = []
    for path in profiles.leftovers(arguments):
        try:
            parent = os.open(path.parent, _FLAGS)
        except OSError:
            continue
        try:
            if os.stat(path.name, dir_fd=parent, follow_symlinks=False) and not usage.locked(parent, path.name):
                removed.append(_remove(path, parent, path.name, uid))
        except FileNotFoundError:
            continue  # it has cleaned up itself
        finally:
            os.close(parent)
    return removed


def _is_left(parent: int, name: str, older_than: float) -> bool:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False
    if os.geteuid() not in (0, status.st_uid):
        return False
    # No one can set the time of the last change back, and a young directory may be about to be used.
    return time.time() - status.st_ctime >= older_than and not usage.locked(parent, name)


def _leftover(directory: Path, parent: int, name: str, *, dry_run: bool) -> Leftover:
    path = directory / name
    if not dry_run:
        return _remove(path, parent, name, os.stat(name, dir_fd=parent, follow_symlinks=False).st_uid)
    try:
        return Leftover(path, removal.size(parent, name))
    except OSError as error:
        return Leftover(path, 0, str(error))


def _remove(path: Path, parent: int, name: str, uid: int) -> Leftover:
    size = 0
    try:
        size = removal.size(parent, name)
        removal.remove(parent, name, uid)
    except OSError as error:
        return Leftover(path, size, str(error))
    return Leftover(path, size)
