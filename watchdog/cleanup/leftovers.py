"""`watchdog clean`: removes what dead browsers left in /tmp."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from servermonitoring import owner
from watchdog.cleanup import in_use, removal

_TEMPORARY = re.compile(
    r"rust_mozprofile\w{1,40}"  # geckodriver
    r"|tmp[\w-]{1,40}\.mozrunner"  # marionette
    r"|\.?(?:org\.chromium\.Chromium|com\.google\.Chrome)\.[\w.-]{1,40}"  # chromedriver, Chromium
    r"|\.?scoped_dir[\w.-]{0,40}"
)
_OPTION = re.compile(r"--?(?:profile|user-data-dir)(?:=(?P<path>.+))?")


def temporary(name: str) -> bool:
    """Whether drivers, browsers and health checks give such names to what they ought to remove themselves."""
    return _TEMPORARY.fullmatch(name) is not None or owner.is_directory_name(name)


def named_in(arguments: list[str]) -> Iterator[Path]:
    """The profile directories in a browser's command line."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        match = _OPTION.fullmatch(argument)
        path = match and (match["path"] or following)
        if path and path.startswith("/"):
            yield Path(path)


def leftovers(arguments: list[str]) -> list[Path]:
    """What a browser that was killed leaves: its temporary profile, and the directory of its socket."""
    found = []
    for profile in named_in(arguments):
        found += [path for path in (profile, *_socket_directory(profile)) if temporary(path.name)]
    return found


def _socket_directory(profile: Path) -> list[Path]:
    """Chromium's, told by a link in its profile."""
    try:
        return [(profile / "SingletonSocket").readlink().parent]
    except OSError:
        return []


_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Leftover(NamedTuple):
    """Something that a dead browser left."""

    path: Path
    size: int  # bytes on the disk
    error: str = ""  # why it is still there


def clean(directory: Path, older_than: float, *, dry_run: bool) -> Iterator[Leftover]:
    """Remove the leftovers of that age (seconds) in a directory, or only tell them. Raises OSError."""
    used = in_use.used_entries(directory)
    parent = os.open(directory, _FLAGS)
    try:
        for name in sorted(os.listdir(parent)):  # noqa: PTH208 - a descriptor
            if temporary(name) and name not in used and _is_left(parent, name, older_than):
                yield _leftover(directory, parent, name, dry_run=dry_run)
    finally:
        os.close(parent)


def remove_profiles(arguments: list[str], uid: int) -> list[Leftover]:
    """Remove the temporary profile of a browser that was killed; of its own user's, and of no other's."""
    removed = []
    for path in leftovers(arguments):
        try:
            parent = os.open(path.parent, _FLAGS)
        except OSError:
            continue
        try:
            if os.stat(path.name, dir_fd=parent, follow_symlinks=False) and not in_use.locked(parent, path.name):
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
    return time.time() - status.st_ctime >= older_than and not in_use.locked(parent, name)


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
