"""What stands between a process and the watchdog: namespaces of a container, of PrivateTmp= or of unshare.

Facts from files of /proc that any user may read, and that wait for no file system.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import NamedTuple

from watchdog.clock import TICKS

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
    """Whether a process certainly has the mounts and the root of this one; false where this user may not know."""
    try:
        return all(Path(f"/proc/{pid}/{name}").readlink() == Path(f"/proc/self/{name}").readlink() for name in _VIEW)
    except OSError:
        return False


def mounts(pid: int | str) -> list[Mount]:
    """The mounts that a process sees. Raises OSError."""
    with Path(f"/proc/{pid}/mountinfo").open("rb") as file:
        text = file.read(_MOST_READ)
    if len(text) == _MOST_READ:
        raise OSError(f"/proc/{pid}/mountinfo is longer than {_MOST_READ} bytes")
    return [_mount(line) for line in text.decode(errors="surrogateescape").split("\n") if line]


def place(of: Iterable[Mount], path: PurePath) -> tuple[str, PurePath] | None:
    """The device, and the path within its file system, that a process means by a path; None if it is not known."""
    over = [mount for mount in of if path.is_relative_to(mount.point)]
    if not over:
        return None
    mount = max(reversed(over), key=lambda each: len(each.point))  # of those at one place the last is seen
    return mount.device, PurePath(mount.root, path.relative_to(mount.point))


def pids(pid: int) -> list[int]:
    """The pids of a process, as this /proc shows it first, in its innermost namespace last; empty if it is gone."""
    return [int(each) for each in _line(Path(f"/proc/{pid}/status"), "NSpid:")]


def boot_offset(pid: int | str) -> int:
    """How many ticks a time namespace adds to the uptime that a process sees, and to starts of processes."""
    values = _line(Path(f"/proc/{pid}/timens_offsets"), "boottime")
    return int(values[0]) * TICKS + int(values[1]) * TICKS // 10**9 if values else 0


@functools.cache
def own() -> str:
    """What pids and starts of processes mean to this process: "pid:[4026531836] time:[4026531834]"; "" if unknown."""
    try:
        return " ".join(str(Path("/proc/self/ns", kind).readlink()) for kind in ("pid", "time"))
    except OSError:  # a kernel before 5.6
        return ""


def is_container() -> bool:
    """Whether this process sees the processes of a container only."""
    return not own().startswith(_INITIAL_PID) and own() != ""


def _mount(line: str) -> Mount:
    fields, _, rest = line.partition(" - ")
    number, _, device, root, point = fields.split(" ")[:5]
    return Mount(int(number), device, _plain(root), _plain(point), rest.partition(" ")[0])


def _plain(text: str) -> str:
    """Without the octal escapes of spaces and the like."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def _line(path: Path, name: str) -> list[str]:
    """The words after a name at the beginning of a line; none where there is no such line or file."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return next((line.split()[1:] for line in text.splitlines() if line.startswith(name)), [])
