"""Namespaces between a process and the watchdog: those of a container, of PrivateTmp= or of unshare.

Read from files of /proc that any user may read, and that wait for no file system.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import NamedTuple

from watchdog.processes import TICKS

_INITIAL_PID = "pid:[4026531836]"  # the kernel's PROC_PID_INIT_INO
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


def sees_the_same(pid: int) -> bool:
    """Return whether a process has the mounts and the root of this one; False if that cannot be read."""
    try:
        return all(Path(f"/proc/{pid}/{name}").readlink() == Path(f"/proc/self/{name}").readlink() for name in _VIEW)
    except OSError:
        return False


def mounts(pid: int | str) -> list[Mount]:
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


def pids(pid: int) -> list[int]:
    """Return the pids of a process, from this namespace to its innermost one; empty if it is gone."""
    return [int(each) for each in _line(Path(f"/proc/{pid}/status"), "NSpid:")]


def boot_offset(pid: int | str) -> int:
    """Return the ticks that a time namespace adds to the uptime that a process sees, and to starts of processes."""
    values = _line(Path(f"/proc/{pid}/timens_offsets"), "boottime")
    return int(values[0]) * TICKS + int(values[1]) * TICKS // 10**9 if values else 0


@functools.cache
def own() -> str:
    """Return the namespaces of this process's pids and times, "pid:[4026531836] time:[4026531834]"; "" if unknown."""
    try:
        return " ".join(str(Path("/proc/self/ns", kind).readlink()) for kind in ("pid", "time"))
    except OSError:  # a kernel before 5.6
        return ""


def is_container() -> bool:
    """Return whether this process sees only the processes of a container."""
    return not own().startswith(_INITIAL_PID) and own() != ""


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
