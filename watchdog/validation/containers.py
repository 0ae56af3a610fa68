"""The validation records of browsers that do not share the watchdog's /tmp, pids or time.

A program in a container, or in a unit with PrivateTmp=, writes the record where it sees the directory, with the pid
and the start that it sees. The kernel shows all three to the watchdog, which reads the record there. Another user
chooses what is mounted in there: only local file systems are entered, and no link is followed. What differs between
the two is read from files of /proc that any user may read, and that wait for no file system.
"""

import errno
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import NamedTuple

from watchdog.browsers import Browser
from watchdog.processes import TICKS, Process
from watchdog.validation import directory, records
from watchdog.validation.records import RecordSummary

Read = Callable[[int, list[Process], int, float], RecordSummary]  # of a directory: records.newest
log = logging.getLogger(__name__)

# To look up a name in these never waits for a server or for a user's program.
_LOCAL = {
    "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "rootfs", "squashfs", "tmpfs",
    "xfs", "zfs",
}  # fmt: skip
_logged_browsers: deque[tuple[int, int]] = deque(maxlen=1000)  # (pid, start) of browsers for which this was logged
_INITIAL_PID = "pid:[4026531836]"  # the kernel's PROC_PID_INIT_INO
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def log_container() -> None:
    """Log that the watchdog itself runs in a container, if it does."""
    if _is_container():
        log.info("the watchdog runs in a container: browsers outside of it are not watched")


def _is_container() -> bool:
    """Return whether this process sees only the processes of a container."""
    return not records.own_namespaces().startswith(_INITIAL_PID) and records.own_namespaces() != ""


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
    ticks = _boot_offset(main.pid) - _boot_offset("self")
    depth = len(_pids(main.pid))
    inner = [member._replace(start=member.start + ticks) for member in members]
    if depth > 1:
        by_pids = ((member, _pids(member.pid)) for member in inner)
        inner = [member._replace(pid=pids[depth - 1]) for member, pids in by_pids if len(pids) >= depth]
    return inner, ticks / TICKS


def _directory(pid: int) -> tuple[int | None, str]:
    """Return a descriptor of the process's own directory of records, or why it cannot be read.

    Neither, if it is the watchdog's, or if there is none: then nothing was ever validated in there.
    """
    if _sees_the_same(pid):
        return None, ""
    path = Path(os.path.realpath(directory.location()))
    try:
        theirs, ours = _mounts(pid), _mounts("self")
        if place(theirs, path) == place(ours, path):
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


_VIEW = ("ns/mnt", "root")
_MOST_READ = 1_000_000  # bytes of mountinfo: 8,000 mounts
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of mountinfo."""

    number: int
    device: str  # major:minor
    root: str  # which directory of the file system is mounted
    point: str  # where
    kind: str  # tmpfs, ext4, fuse.sshfs …


def _sees_the_same(pid: int) -> bool:
    """Return whether a process has the mounts and the root of this one; False if that cannot be read."""
    try:
        return all(Path(f"/proc/{pid}/{name}").readlink() == Path(f"/proc/self/{name}").readlink() for name in _VIEW)
    except OSError:
        return False


def _mounts(pid: int | str) -> list[Mount]:
    """Return the mounts that a process sees. Raise OSError."""
    with Path(f"/proc/{pid}/mountinfo").open("rb") as file:
        text = file.read(_MOST_READ)
    if len(text) == _MOST_READ:
        raise OSError(f"/proc/{pid}/mountinfo is longer than {_MOST_READ} bytes")
    return [_mount(line) for line in text.decode(errors="surrogateescape").split("\n") if line]


def place(of: Iterable[Mount], path: PurePath) -> tuple[str, PurePath] | None:
    """Return the device of a path, and its path in that file system, by these mounts; None if unknown."""
    over = [mount for mount in of if path.is_relative_to(mount.point)]
    if not over:
        return None
    mount = max(reversed(over), key=lambda each: len(each.point))  # of several at one place the last one is visible
    return mount.device, PurePath(mount.root, path.relative_to(mount.point))


def _pids(pid: int) -> list[int]:
    """Return the pids of a process, from this namespace to its innermost one; empty if it is gone."""
    return [int(each) for each in _line(Path(f"/proc/{pid}/status"), "NSpid:")]


def _boot_offset(pid: int | str) -> int:
    """Return the ticks that a time namespace adds to the uptime that a process sees, and to starts of processes."""
    values = _line(Path(f"/proc/{pid}/timens_offsets"), "boottime")
    return int(values[0]) * TICKS + int(values[1]) * TICKS // 10**9 if values else 0


def _mount(line: str) -> Mount:
    fields, _, rest = line.partition(" - ")
    number, _, device, root, point = fields.split(" ")[:5]
    return Mount(int(number), device, _plain(root), _plain(point), rest.partition(" ")[0])


def _plain(text: str) -> str:
    """Return the text without the octal escapes of spaces and the like."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def _line(path: Path, name: str) -> list[str]:
    """Return the words of the line that begins with a name; none without such a line or file."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return next((line.split()[1:] for line in text.splitlines() if line.startswith(name)), [])
