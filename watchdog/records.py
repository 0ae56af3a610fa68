"""Reads the validation records: whoever may write in the directory, only a browser's own user is believed."""

import contextlib
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from watchdog import processes, retention
from watchdog.processes import Process

_NAME = re.compile(r"(?P<pid>\d{1,10})-(?P<start>\d{1,20})(?:\.\w{1,40})?")
_LARGEST = 4096  # bytes
_SLACK = 1.0  # seconds by which a record may lie outside the process's life


class Found(NamedTuple):
    """The newest valid record, and what is wrong with others that claim to be of the same process."""

    validated: float | None  # uptime
    troubles: list[str]


def newest(descriptor: int, members: Iterable[Process], uid: int, now: float) -> Found:
    """When a browser was last validated, by a record of any of its processes. Raises OSError."""
    starts = {member.pid: member for member in members}
    times: list[float] = []
    troubles: list[str] = []
    for name, pid, start in _named(descriptor):
        member = starts.get(pid)
        if member is None or member.start != start:
            continue
        try:
            times.append(_validated(descriptor, name, member, uid, now))
        except FileNotFoundError:
            continue  # renamed meanwhile
        except (OSError, ValueError) as error:
            troubles.append(f"validation record {name} is not believed: {error}")
    return Found(max(times, default=None), troubles)


def remove_dead(descriptor: int) -> None:
    """Remove the records of processes that are no more, as far as this user may. Raises OSError."""
    for name, pid, start in list(_named(descriptor, unfinished=True)):
        with contextlib.suppress(OSError):
            if not processes.alive(pid, start) and retention.is_over(descriptor, name):
                os.unlink(name, dir_fd=descriptor)


def _named(descriptor: int, *, unfinished: bool = False) -> Iterator[tuple[str, int, int]]:
    for name in os.listdir(descriptor):
        match = _NAME.fullmatch(name.removeprefix(".") if unfinished else name)
        if match:
            yield name, int(match["pid"]), int(match["start"])


def _validated(descriptor: int, name: str, member: Process, uid: int, now: float) -> float:
    """The record's time. Raises OSError, or ValueError for one that is not to be believed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=descriptor)
    try:
        _check(os.fstat(file), uid)
        text = os.read(file, 64)
    finally:
        os.close(file)
    value = float(text.split(None, 1)[0]) if text.strip() else math.nan
    if not math.isfinite(value):
        raise ValueError("holds no time")
    if value > now + _SLACK:
        raise ValueError("is of the future")
    if value < member.started - _SLACK:
        raise ValueError("is older than the process")
    return value


def _check(status: os.stat_result, uid: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a file")
    if status.st_uid not in (0, uid):
        raise ValueError(f"belongs to user {status.st_uid}, the process to user {uid}")
    if status.st_size > _LARGEST:
        raise ValueError(f"is {status.st_size} bytes long")
    if status.st_nlink != 1:
        raise ValueError("is a hard link")
