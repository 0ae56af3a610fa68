"""Removes processes and temporary directories of runs that were killed together with their guardians.

/tmp may contain anything, and pids are reused. Removed are only directories that have our prefix, belong to this user,
are closed to others and name a dead run; killed are only processes with the mark of a dead run, which all descendants
of a guardian have in their environment, but not the guardian: one that lives is about to clean up itself.
"""

import contextlib
import functools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from servermonitoring import owner

MARK = "SERVERMONITORING_FAMILY"  # in the environment: owner, dot, token of the directory
_UNNAMED = 3600.0  # seconds; a younger directory without an owner may still be in the making
_PATIENCE = 5.0  # seconds for processes that do not die, or go on starting others
_MOST = 1 << 20  # bytes of an environment


@functools.cache
def remove_once() -> None:
    """Remove what dead runs left, once in a run."""
    end_marked(_is_of_dead_run)
    for base in {tempfile.gettempdir(), "/tmp"}:  # noqa: S108 - where directories go if the other's name is too long
        _remove_directories(base)


def end_marked(is_meant: Callable[[str], bool]) -> None:
    """Kill the processes of this user whose mark is meant, and those that they start meanwhile."""
    end = time.monotonic() + _PATIENCE
    while (found := list(_marked(is_meant))) and time.monotonic() < end:
        for pid in found:
            _kill(pid, is_meant)
        time.sleep(0.01)


def _is_of_dead_run(mark: str) -> bool:
    try:
        return owner.parse(mark.rpartition(".")[0]).is_dead
    except ValueError:
        return False


def _marked(is_meant: Callable[[str], bool]) -> Iterator[int]:
    with contextlib.suppress(OSError):  # no /proc
        for name in os.listdir("/proc"):  # noqa: PTH208 - far faster
            if name.isdigit() and is_meant(_mark(int(name))):
                yield int(name)


def _mark(pid: int) -> str:
    """Return the mark of a living process of this user; empty for any other."""
    environment, start = Path(f"/proc/{pid}/environ"), f"{MARK}=".encode()
    with contextlib.suppress(OSError):
        if environment.stat().st_uid == os.geteuid():
            with environment.open("rb") as file:
                lines = file.read(_MOST).split(b"\0")
            return next((each[len(start) :].decode("ascii", "replace") for each in lines if each.startswith(start)), "")
    return ""


def _kill(pid: int, is_meant: Callable[[str], bool]) -> None:
    """Kill it; check the mark again once the pid is held, so that no other process is hit."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if is_meant(_mark(pid)):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def _remove_directories(base: str) -> None:
    with contextlib.suppress(OSError):
        parent = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in filter(owner.is_directory_name, os.listdir(parent)):  # noqa: PTH208 - a descriptor
                if _is_left(parent, name):
                    shutil.rmtree(name, ignore_errors=True, dir_fd=parent)
        finally:
            os.close(parent)


def _is_left(parent: int, name: str) -> bool:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        descriptor = os.open(name, flags, dir_fd=parent)
        try:
            status, run = os.fstat(descriptor), owner.owner_of(descriptor)
        finally:
            os.close(descriptor)
        if status.st_uid == os.geteuid() and not status.st_mode & 0o077:
            return run.is_dead if run else time.time() - status.st_ctime >= _UNNAMED
    return False
