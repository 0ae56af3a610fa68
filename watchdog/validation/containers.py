"""The validation records of browsers that do not share the watchdog's /tmp, pids or time.

A program in a container, or in a unit with PrivateTmp=, writes the record where it sees the directory, by the pid
and the start that it sees. The kernel tells all three, so that the watchdog finds the record there. Whatever is
mounted in there is another user's choice: only local file systems are entered, and no link is followed.
"""

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog import namespaces
from watchdog.browser import Family
from watchdog.clock import TICKS
from watchdog.processes import Process
from watchdog.validation import directory
from watchdog.validation.records import Found

Read = Callable[[int, list[Process], int, float], Found]  # of a directory: records.newest
log = logging.getLogger(__name__)

# None of these waits for a server, or for a program of a user, when a name is looked up.
_LOCAL = {
    "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "rootfs", "squashfs", "tmpfs",
    "xfs", "zfs",
}  # fmt: skip
_hidden: deque[tuple[int, int]] = deque(maxlen=1000)  # (pid, start) of those of which it was said
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def tell_own() -> None:
    """Say so, if the watchdog itself is in a container."""
    if namespaces.is_container():
        log.info("the watchdog runs in a container: browsers outside of it are not watched")


def newest(read: Read, shared: int, members: list[Process], family: Family, now: float) -> Found:
    """Return what is read in the watchdog's directory (`shared`) and where the browser's own side writes records.

    Where there may be records that cannot be seen, the browser is excused, and that is said once. Raise OSError.
    """
    found, hidden = [read(shared, members, family.uid, now)], ""
    if os.geteuid() in (0, family.uid):
        inside, hidden = _inside(read, shared, members, family, now)
        found += inside
    times = [each.validated for each in found if each.validated is not None]
    if hidden and not times and family.validated is None:
        family.excused = now
        _say_hidden(family, hidden)
    return Found(max(times, default=None), [line for each in found for line in each.troubles])


def _inside(read: Read, shared: int, members: list[Process], family: Family, now: float) -> tuple[list[Found], str]:
    """Return what is read by the browser's own view, and why there may be records that cannot be seen."""
    inner, ahead = _as_seen_by(family.main, members)
    places = [shared] if inner != members else []
    descriptor, hidden = _directory(family.main.pid)
    if descriptor is not None:
        places.append(descriptor)
    try:
        found = [read(each, inner, family.uid, now + ahead) for each in places]
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return [_earlier(each, ahead) for each in found], hidden


def _earlier(found: Found, seconds: float) -> Found:
    return found if found.validated is None else found._replace(validated=found.validated - seconds)


def _say_hidden(family: Family, why: str) -> None:
    if family.main[:2] not in _hidden:
        _hidden.append(family.main[:2])
        log.error(
            "validations of %s, process %d, cannot be seen, so only its memory is judged: it has a view of its own of "
            "the directory of records (a container, PrivateTmp=): %s", family.main.name, family.main.pid, why,
        )  # fmt: skip


def _as_seen_by(main: Process, members: list[Process]) -> tuple[list[Process], float]:
    """Return the members by the pids and starts that the main process sees, and by how much its uptime is ahead."""
    ticks = namespaces.boot_offset(main.pid) - namespaces.boot_offset("self")
    depth = len(namespaces.pids(main.pid))
    inner = [member._replace(start=member.start + ticks) for member in members]
    if depth > 1:
        by_pids = ((member, namespaces.pids(member.pid)) for member in inner)
        inner = [member._replace(pid=pids[depth - 1]) for member, pids in by_pids if len(pids) >= depth]
    return inner, ticks / TICKS


def _directory(pid: int) -> tuple[int | None, str]:
    """Return a descriptor of the process's own directory of records, or why it cannot be seen.

    Neither, if it is the watchdog's, or if there is none: then nothing was ever validated in there.
    """
    if namespaces.sees_the_same(pid):
        return None, ""
    path = Path(os.path.realpath(directory.location()))
    try:
        theirs, ours = namespaces.mounts(pid), namespaces.mounts("self")
        if namespaces.place(theirs, path) == namespaces.place(ours, path):
            return None, ""
        kinds = {mount.number: mount.kind for mount in (*ours, *theirs)}
        return _walk(Path(f"/proc/{pid}/root"), path.parts[1:], kinds), ""
    except (FileNotFoundError, ProcessLookupError):
        return None, ""
    except OSError as error:
        return None, "" if error.errno == errno.EINVAL else str(error)  # the mounts of one that has just ended


def _walk(root: Path, names: Iterable[str], kinds: dict[int, str]) -> int:
    """Open step by step, so that each file system is known before a name is looked up in it. Raise OSError."""
    here = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in names:
        here = _enter(here, name, os.O_PATH | _DIRECTORY, kinds)
    return _enter(here, ".", os.O_RDONLY | _DIRECTORY, kinds)


def _enter(parent: int, name: str, flags: int, kinds: dict[int, str]) -> int:
    """Open a directory, and close the one above."""
    try:
        kind = kinds.get(_mount_of(parent))
        if kind not in _LOCAL:
            raise OSError(f"it is on a file system of type {kind}, which could keep the watchdog waiting")
        return os.open(name, flags, dir_fd=parent)
    finally:
        os.close(parent)


def _mount_of(descriptor: int) -> int:
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("mnt_id:")), -1)
