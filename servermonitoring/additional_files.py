"""Additional configuration files: those of servermonitoring.d are merged with servermonitoring.toml."""

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from servermonitoring.files import read_regular

_MOST = 500  # files
_LARGEST = 5_000_000  # bytes of all together
_SUFFIX = ".toml"
Fault = tuple[str, str]
"""The place of an error, and what is wrong there."""


class Tables(dict[str, Any]):
    """The tables of a configuration, and in which additional file each of them is."""

    def __init__(self, tables: dict[str, Any], sources: dict[tuple[str, ...], str] | None = None) -> None:
        """Take `sources`: the additional file by the names of a table in it, or of a table and a key."""
        super().__init__(tables)
        self.sources = sources or {}

    @property
    def files(self) -> list[str]:
        """The names of the additional files that have tables."""
        return sorted({*self.sources.values()})

    def source(self, where: str) -> str:
        """Return the additional file with a place as messages name it, `[website.home] url`; "" for the main file."""
        table, bracket, key = where.partition("]")
        if not bracket:
            return ""
        names = (*table.removeprefix("[").split(".", 1), *key.split("[")[0].split()[:1])
        return self.sources.get(names[:2]) or self.sources.get(names[:1]) or ""


def merge(path: Path, tables: dict[str, Any], parse: Callable[[bytes], dict[str, Any]]) -> tuple[Tables, list[Fault]]:
    """Return the tables of the main file with those of the additional ones, and what is wrong with these.

    They are the files of the directory named as the main file, with .d in place of .toml, in the order of their names.
    A file that cannot be read is left out; of a table or a key that is in two files the first one stays. `parse` reads
    a file, and raises ValueError.
    """
    merged, faults = Tables(dict(tables)), []
    try:
        found = _files_of(path)
    except (OSError, ValueError) as error:
        return merged, [(f"{_directory(path).name}", _words(error))]
    room = _LARGEST
    for file in found:
        name = f"{file.parent.name}/{file.name}"
        try:
            _refuse_foreign(file, path)
            content = read_regular(file, room)
            room -= len(content)
            added = parse(content)
        except (OSError, ValueError) as error:
            faults.append((name, _words(error)))
            continue
        faults += _add(merged, added, name, path.name)
    return merged, faults


def _directory(path: Path) -> Path:
    return path.with_suffix(".d")


def _files_of(path: Path) -> list[Path]:
    """Return the additional files in their order. Raise OSError or ValueError for a directory that is refused."""
    directory = _directory(path)
    try:
        entries = [each for each in directory.iterdir() if each.suffix == _SUFFIX]
    except FileNotFoundError:
        return []
    _refuse_foreign(directory, path)
    if len(entries) > _MOST:
        raise ValueError(f"has {len(entries)} files, maximum {_MOST}")
    return sorted(entry for entry in entries if not entry.name.startswith("."))


def _refuse_foreign(path: Path, main: Path) -> None:
    """Raise ValueError for what is not of root, of this user or of the owner of the main file."""
    status = path.stat()
    if status.st_uid not in (0, os.geteuid(), main.stat().st_uid):
        raise ValueError(f"belongs to user {status.st_uid}, not to the owner of {main.name}")
    is_file_or_directory = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    if is_file_or_directory and status.st_mode & stat.S_IWOTH:
        raise ValueError(f"may be changed by every user: chmod o-w {path}")


def _add(merged: Tables, added: dict[str, Any], file: str, main: str) -> Iterable[Fault]:
    """Add the tables of a file. Return what is in an earlier file already."""
    for name, value in added.items():
        if not isinstance(value, dict) or not isinstance(merged.get(name, {}), dict):
            if name in merged:
                yield _twice(merged, (name,), file, main, is_table=True)
            else:
                merged[name], merged.sources[name,] = value, file
            continue
        if name not in merged:
            merged.sources[name,] = file
        kept = merged[name] = dict(merged.get(name, {}))
        for key, each in value.items():
            if key in kept:
                yield _twice(merged, (name, key), file, main, is_table=isinstance(each, dict))
            else:
                kept[key], merged.sources[name, key] = each, file


def _twice(merged: Tables, names: tuple[str, ...], file: str, main: str, *, is_table: bool) -> Fault:
    first = merged.sources.get(names) or merged.sources.get(names[:1]) or main
    where = f"[{'.'.join(names)}]" if is_table else f"[{names[0]}] {names[1]}"
    return where, f"is in {first} and in {file}: write it in one of them"


def _words(error: Exception) -> str:
    words = getattr(error, "strerror", None)
    return f"cannot be read: {words}" if words else str(error)
