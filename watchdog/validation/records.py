"""Validation records: how they are read, and which may be removed."""

import contextlib
import functools
import math
import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from watchdog import processes
from watchdog.processes import Process

_FOREIGN = 86_400.0  # seconds for which a record of unknown or other namespaces is kept
_MARK = " in "  # between the writer and the namespaces in a record


def mark() -> str:
    """Return the end of a record written here: the namespaces of this process."""
    return _MARK + own_namespaces()


@functools.cache
def own_namespaces() -> str:
    """Return the namespaces of this process's pids and times, "pid:[4026531836] time:[4026531834]"; "" if unknown."""
    try:
        return " ".join(str(Path("/proc/self/ns", kind).readlink()) for kind in ("pid", "time"))
    except OSError:  # a kernel before 5.6
        return ""


def is_over(descriptor: int, name: str) -> bool:
    """Return whether a record without a visible process may be removed. Raise OSError."""
    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        return True  # no record
    return time.time() - max(status.st_mtime, status.st_ctime) > _FOREIGN or _is_ours(descriptor, name)


def _is_ours(descriptor: int, name: str) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=descriptor)
    except OSError:
        return False
    try:
        text = os.read(file, 500).decode(errors="replace")
    finally:
        os.close(file)
    return bool(own_namespaces()) and text.rstrip().endswith(mark())


_NAME = re.compile(r"(?P<pid>\d{1,10})-(?P<start>\d{1,20})(?:\.\w{1,40})?")
_LARGEST = 4096  # bytes
_SLACK = 1.0  # seconds by which a record may lie outside the process's life
_UPTIME = 315_000_000  # seconds, ten years: a file's time of modification below it is an uptime, not a date
_MOST_LISTED = 500_000  # names in the directory, where anybody may make files: half a second
_MOST_TIDIED = 5_000  # names that are read to remove the records of dead processes


class RecordSummary(NamedTuple):
    """The newest valid record of a browser, and the errors of invalid ones."""

    validated_at: float | None  # uptime
    errors: list[str]


class _ReadOptions(NamedTuple):
    uid: int  # whose records count, in addition to root's
    now: float  # uptime
    refresh: bool = False  # set the times of the files


def newest(
    descriptor: int, members: Iterable[Process], uid: int, now: float, *, refresh: bool = False
) -> RecordSummary:
    """Return when a browser was last validated, by the record of any of its processes, opened by its name.

    With `refresh` the files get new times, so that no cleaner of old files removes them. Raise OSError.
    """
    return _newest(
        descriptor, [(member.identity, member) for member in members], _ReadOptions(uid, now, refresh=refresh)
    )


def newest_with_suffix(descriptor: int, members: Iterable[Process], uid: int, now: float) -> RecordSummary:
    """Return the same from records with a suffix, which are written if another user has taken the name.

    Raise OSError, also for more files than can be listed.
    """
    named = {member.identity: member for member in members}
    names = []
    for count, name in enumerate(_names(descriptor)):
        if count >= _MOST_LISTED:
            raise OSError(f"it holds more than {_MOST_LISTED} files: remove those that are no records")
        plain, _, suffix = name.partition(".")
        if suffix and plain in named and _NAME.fullmatch(name):
            names.append((name, named[plain]))
    return _newest(descriptor, names, _ReadOptions(uid, now))


def remove_dead(descriptor: int, needed: Collection[tuple[int, int]]) -> None:
    """Remove records of dead processes, as far as this user may, except those in `needed`. Raise OSError.

    Of a directory that others have filled only a part is read.
    """
    for name in list(islice(_names(descriptor), _MOST_TIDIED)):
        match = _NAME.fullmatch(name.removeprefix("."))
        if match is None:
            continue
        process = int(match["pid"]), int(match["start"])
        with contextlib.suppress(OSError):
            if process not in needed and not processes.alive(*process) and is_over(descriptor, name):
                os.unlink(name, dir_fd=descriptor)


def _names(descriptor: int) -> Iterator[str]:
    with os.scandir(descriptor) as entries:
        for entry in entries:
            yield entry.name


def _newest(descriptor: int, named: Iterable[tuple[str, Process]], reading: _ReadOptions) -> RecordSummary:
    times: list[float] = []
    errors: list[str] = []
    for name, member in named:
        try:
            times.append(_validated(descriptor, name, member, reading))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            errors.append(f"invalid validation record {name} ignored: {error}")
    return RecordSummary(max(times, default=None), errors)


def _validated(descriptor: int, name: str, member: Process, reading: _ReadOptions) -> float:
    """Return the record's time. Raise OSError, or ValueError for an invalid record."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=descriptor)
    try:
        status = os.fstat(file)
        _check(status, reading.uid)
        if reading.refresh:
            _make_young(file, status)
        text = os.read(file, 64)
    finally:
        os.close(file)
    value = max(_times(text, status.st_mtime, reading.now), default=math.nan)
    if not math.isfinite(value):
        raise ValueError("holds no time")
    if value > reading.now + _SLACK:
        raise ValueError("is in the future")
    if value < member.started_at - _SLACK:
        raise ValueError("is older than the process")
    return value


def _make_young(file: int, status: os.stat_result) -> None:
    """Set the time of the last change (and, by reading, of access). The time of modification may be a validation."""
    with contextlib.suppress(OSError):
        os.fchmod(file, stat.S_IMODE(status.st_mode))


def _times(text: bytes, modified: float, now: float) -> Iterator[float]:
    """Yield the time in the file, and the time that was set when it could not be written. Raise ValueError."""
    if text.strip():
        yield float(text.split(None, 1)[0])
    if modified <= min(now + _SLACK, _UPTIME):
        yield modified


def _check(status: os.stat_result, uid: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a file")
    if status.st_uid not in (0, uid):
        raise ValueError(f"belongs to user {status.st_uid}, the process to user {uid}")
    if status.st_size > _LARGEST:
        raise ValueError(f"is {status.st_size} bytes long, maximum {_LARGEST}")
    if status.st_nlink != 1:
        raise ValueError("is a hard link")
