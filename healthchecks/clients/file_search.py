"""Finds the newest file that matches a pattern of a shell: *, ? and [] in each part of its path.

Directories are read one entry at a time, so that one with a million files costs time up to the timeout, but no memory.
"""

import fnmatch
import glob
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from healthchecks import ProbeTimeout, Unhealthy, phase, remaining

_WILDCARD = re.compile(r"[*?[]")
_STRIDE = 500  # entries between two readings of the clock


@dataclass(frozen=True)
class FoundFile:
    """A regular file; `modified` in unix seconds, `size` in bytes."""

    path: str
    modified: float
    size: int


def absolute_pattern(directory: Path, text: str) -> str:
    """Return a pattern that is relative to this directory as an absolute one. Raise ValueError for one that is none."""
    if "**" in text:
        raise ValueError("contains **, which is not supported: write each level of directories as *")
    if "\0" in text:
        raise ValueError("contains a zero byte, which no path can hold")
    if text.endswith("/"):
        raise ValueError("ends with a slash: write which files of the directory are meant, such as /backup/*.dump")
    return os.path.join(glob.escape(str(directory)), text)  # noqa: PTH118 - a pattern is no path


def find_newest(pattern: str) -> FoundFile:
    """Return the regular file, or link to one, that was modified last, of those that match an absolute pattern.

    As in a shell, * does not match a dot at the beginning of a name. Raise Unhealthy where there is none, ProbeTimeout.
    """
    search = _FileSearch()
    phase(f"the files that match {pattern} could not be read")
    found = map(search.file_at, search.paths("/", pattern.strip("/").split("/")))
    newest = max(filter(None, found), key=lambda each: each.modified, default=None)
    if newest is None:
        raise Unhealthy(f"no file matches {pattern}{search.hint}")
    return newest


class _FileSearch:
    """One search, with what may explain that it has found nothing."""

    def __init__(self) -> None:
        self._entries = 0
        self._others = 0  # that match, but are no files
        self._unreadable = ""

    @property
    def hint(self) -> str:
        if self._unreadable:
            return f"; {self._unreadable}"
        return f"; {self._others} of that name are no files" if self._others else ""

    def paths(self, directory: str, parts: list[str]) -> Iterator[str]:
        """Yield the paths that match these parts below a directory. Raise Unhealthy, ProbeTimeout."""
        first, rest = parts[0], parts[1:]
        names = self._matching(directory, first) if _WILDCARD.search(first) else [first]
        for name in names:
            path = f"{directory.rstrip('/')}/{name}"
            if not rest:
                yield path
            elif first == name or os.path.isdir(path):  # noqa: PTH112 - four times as fast
                yield from self.paths(path, rest)

    def file_at(self, path: str) -> FoundFile | None:
        """Return the file; None where there is none any more, or something else."""
        try:
            status = os.stat(path)  # noqa: PTH116 - four times as fast
        except OSError as error:
            is_named = not isinstance(error, FileNotFoundError)
            self._unreadable = self._unreadable or (f"{path}: {error.strerror}" if is_named else "")
            return None
        if stat.S_ISREG(status.st_mode):
            return FoundFile(path, status.st_mtime, status.st_size)
        self._others += 1
        return None

    def _matching(self, directory: str, pattern: str) -> Iterator[str]:
        matches = re.compile(fnmatch.translate(pattern)).match
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    self._watch_time()
                    if matches(entry.name) and (pattern[0] == "." or entry.name[0] != "."):
                        yield entry.name
        except OSError as error:  # such as lost+found, which only root may read
            self._unreadable = self._unreadable or f"{directory}: {error.strerror}"

    def _watch_time(self) -> None:
        self._entries += 1
        if self._entries % _STRIDE == 0 and remaining() <= 0.001:  # noqa: PLR2004 - what remaining() never goes below
            raise ProbeTimeout
