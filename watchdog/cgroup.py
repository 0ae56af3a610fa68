"""The cgroup (version 2) of one browser, where it has one of its own, as `systemd-run --scope` and containers give it.

The kernel counts there what no process maps: files in memory (memfd, /dev/shm), full pipes, swapped shared memory.
And it kills everything in it at once, whatever forks meanwhile.
"""

import contextlib
import functools
import logging
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from watchdog import processes
from watchdog.memory import FAR

log = logging.getLogger(__name__)

_FIND_EVERY = 10.0  # seconds: a browser may be moved into a cgroup after its start
_MOST_GROUPS = 64  # cgroups that are read, with those below one
_MOST_LISTED = 4000  # bytes of pids in one: some 600 processes; the kernel gives no more than 4096 at once
_LONGEST_FILE = 65536
_DEEPEST = 20  # generations between a process and a member
_READ_AGAIN = ("inactive_file", "active_file", "slab_reclaimable")  # of memory.stat: what the kernel may drop
_STRAYS = {"chrome_crashpad"}  # Chromium's crash handlers leave their parent before anybody can see them below it


class Cgroup:
    """The cgroup of the browser with this main process.

    It is the browser's own if at some time all processes in it came from the browser: later ones were started by those.
    It is no longer, once another browser is found in it.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._own: tuple[Path, int] | None = None  # with its inode, as the name may be reused
        self._found_at = float("-inf")

    def memory(self, members: Collection[int], limit: int, now: float) -> int:
        """Return an upper bound of the bytes that the kernel counts, exact near the limit; 0 if it counts nothing.

        Files that the kernel can read again (its page cache) are no memory that the browser uses.
        """
        if now - self._found_at >= _FIND_EVERY:
            self.find(members, now)
        if self._own is None:
            return 0
        try:
            return _memory(self._own[0], limit)
        except (OSError, ValueError):  # the memory is not counted here, or the cgroup is gone
            return 0

    def find(self, members: Collection[int], now: float) -> None:
        """Find the cgroup of the main process, and whether it is the browser's own."""
        self._found_at = now
        found = _of(self._pid)
        if found is None or found != self._own:
            self._own = found if found is not None and _holds_only(found[0], members) else None

    def share_with(self, pid: int) -> None:
        """Leave it alone if this process, the main process of another browser, is in it too."""
        if self._own is not None and _of(pid) == self._own:
            self._own = None

    def kill(self) -> bool:
        """Kill everything in the browser's own cgroup; return whether there was anything.

        Not for the orphans of a browser that ended by itself: its successor may be in the cgroup too.
        """
        if self._own is None:
            return False
        try:
            return _kill(*self._own)
        except FileNotFoundError:  # it is gone, or the kernel is older than 5.14
            return False
        except OSError as error:
            text = "cgroup %r cannot be killed as a whole: %s; killing its processes one by one"
            log.warning(text, str(self._own[0]), error)
            self._own = None
            return False


def _memory(path: Path, limit: int) -> int:
    whole = int(_read(path / "memory.current"))
    with contextlib.suppress(FileNotFoundError):
        whole += int(_read(path / "memory.swap.current"))
    if whole < FAR * limit:
        return whole
    counts = dict(line.split() for line in _read(path / "memory.stat").splitlines())
    return max(0, whole - sum(int(counts.get(name, 0)) for name in _READ_AGAIN))


def _kill(path: Path, inode: int) -> bool:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.fstat(directory).st_ino != inode or "populated 1" not in _read("cgroup.events", directory):
            return False
        _write(directory, "cgroup.kill", b"1")
        return True
    finally:
        os.close(directory)


def _holds_only(path: Path, members: Collection[int]) -> bool:
    """Return whether all in this cgroup, and in those below it, came from the browser."""
    try:
        return all(_comes_from(pid, members) for pid in _pids(path))
    except OSError:
        return False


def _pids(path: Path) -> Iterator[int]:
    """Yield all processes in and below this cgroup. Raise OSError, also if there are too many."""
    for count, (directory, _, _) in enumerate(os.walk(path)):
        listed = _read(Path(directory, "cgroup.procs"))
        if count >= _MOST_GROUPS or len(listed) > _MOST_LISTED:
            raise OSError(f"{path} holds too many processes for one browser")
        yield from map(int, listed.split())


def _comes_from(pid: int, members: Collection[int]) -> bool:
    """Return whether it is a member, below one, or gone. Pid 0 is one that cannot be seen from here."""
    for generation in range(_DEEPEST):
        if pid in members:
            return True
        process = processes.find(pid)
        if process is None:
            return generation == 0 < pid
        if process.name in _STRAYS:
            return True
        pid = process.parent
    return False


def _of(pid: int) -> tuple[Path, int] | None:
    """Return the cgroup of a process and its inode; None without one, for the root, and for one not visible here."""
    mount = _mount()
    try:
        lines = _read(f"/proc/{pid}/cgroup").split("\n")
        name = next((line[3:] for line in lines if line.startswith("0::/")), "/")
        if mount is None or name == "/" or "/.." in name:
            return None
        path = Path(mount + name)
        return path, path.stat().st_ino
    except OSError:
        return None


@functools.cache
def _mount() -> str | None:
    """Return where the whole hierarchy of version 2 is mounted; None if nowhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").split("\n"):
            place, _, kind = line.partition(" - ")
            if kind.startswith("cgroup2 ") and place.split()[3] == "/":
                return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), place.split()[4])
    return None


def _read(path: str | Path, directory: int | None = None) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(descriptor, _LONGEST_FILE).decode(errors="surrogateescape")
    finally:
        os.close(descriptor)


def _write(directory: int, name: str, content: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
