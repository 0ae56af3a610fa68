"""The validation records of browsers that do not share the watchdog's /tmp, pids or time.

A program in a container, or in a unit with PrivateTmp=, writes the record where it sees the directory, with the pid
and the start that it sees. The kernel shows all three to the watchdog, which reads the record there. Another user
chooses what is mounted in there: only local file systems are entered, and no link is followed.
"""

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog import namespaces
from watchdog.browser import Browser
from watchdog.processes import TICKS, Process
from watchdog.validation import directory
from watchdog.validation.records import RecordSummary

Read = Callable[[int, list[Process], int, float], RecordSummary]  # of a directory: records.newest
log = logging.getLogger(__name__)

# To look up a name in these never waits for a server or for a user's program.
_LOCAL = {
    "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "rootfs", "squashfs", "tmpfs",
    "xfs", "zfs",
}  # fmt: skip
_logged_browsers: deque[tuple[int, int]] = deque(maxlen=1000)  # (pid, start) of browsers for which this was logged
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def log_container() -> None:
    """Log that the watchdog itself runs in a container, if it does."""
    if namespaces.is_container():
        log.info("the watchdog runs in a container: browsers outside of it are not watched")


def newest(read: Read, shared: int, members: list[Process], browser: Browser, now: float) -> RecordSummary:
    """Return the newest record in the watchdog's directory (`shared`) or where the browser's container has it.

    If there may be records that cannot be read, excuse the browser and log that once. Raise OSError.
    """
    found, hidden = [read(shared, members, browser.uid, now)], ""
    if os.geteuid() in (0, browser.uid):
        inside, hidden = _inside(read, shared, members, browser, now)
        found += inside
    times = [each.validated_at for each in found if each.validated_at is not None]
    if hidden and not times and browser.validated_at is None:
        browser.excused_until = now
        _log_hidden(browser, hidden)
    return RecordSummary(max(times, default=None), [line for each in found for line in each.errors])


def _inside(
    read: Read, shared: int, members: list[Process], browser: Browser, now: float
) -> tuple[list[RecordSummary], str]:
    """Return the records in the browser's own view, and why there may be others that cannot be read."""
    inner, ahead = _as_seen_by(browser.main, members)
    places = [shared] if inner != members else []
    descriptor, hidden = _directory(browser.main.pid)
    if descriptor is not None:
        places.append(descriptor)
    try:
        found = [read(each, inner, browser.uid, now + ahead) for each in places]
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return [_earlier(each, ahead) for each in found], hidden


def _earlier(found: RecordSummary, seconds: float) -> RecordSummary:
    return found if found.validated_at is None else found._replace(validated_at=found.validated_at - seconds)


def _log_hidden(browser: Browser, why: str) -> None:
    if browser.main[:2] not in _logged_browsers:
        _logged_browsers.append(browser.main[:2])
        log.error(
            "validations of %s, process %d, cannot be read, so only its memory limit applies: it has a directory of "
            "records of its own (container, PrivateTmp=): %s", browser.main.name, browser.main.pid, why,
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
    """Return a descriptor of the process's own directory of records, or why it cannot be read.

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
            raise OSError(f"it is on a file system of type {kind}, which could block the watchdog")
        return os.open(name, flags, dir_fd=parent)
    finally:
        os.close(parent)


def _mount_of(descriptor: int) -> int:
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("mnt_id:")), -1)
