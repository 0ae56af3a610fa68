"""The configuration file: where it is found, how it is read, and how what is wrong with it is said."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servermonitoring.files import at_home, read_regular
from servermonitoring.scrubbing import is_sensitive, remember, remember_passwords_in

NAME = "servermonitoring.toml"
VARIABLE = "SERVERMONITORING_CONFIG"
_LARGEST = 5_000_000  # bytes
_REFERENCE = re.compile(r"\$(?:\$(?=\{)|\{(?P<name>[^}]*)\})")  # ${NAME}; $${ is a literal ${


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: in which table and key, and what to write instead."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigurationError(Exception):
    """Everything that is wrong with one configuration file, at once."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path, self.problems = path, list(problems)
        super().__init__("\n".join([f"configuration {path} is wrong:", *(f"  {each}" for each in self.problems)]))


def find(given: str | None = None) -> Path | None:
    """The file to read: the given one, $SERVERMONITORING_CONFIG, or servermonitoring.toml here or in /etc.

    A file named by the first two is taken as named, so that a misspelt name is told and not passed over.
    """
    named = given or os.environ.get(VARIABLE)
    if named:
        return at_home(named)
    return next((path for path in (Path(NAME), Path("/etc", NAME)) if path.exists()), None)


def read(path: Path) -> tuple[dict[str, Any], list[Problem]]:
    """The tables of a file with ${NAME} replaced, and what went wrong with that; remembers secrets.

    Raises ConfigurationError for a file that cannot be read at all.
    """
    try:
        tables = tomllib.loads(read_regular(path, _LARGEST).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(path, [Problem("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(path, [Problem("", f"is not UTF-8 (byte {error.start})")]) from None
    except ValueError as error:  # also a number of 5,000 digits
        raise ConfigurationError(path, [Problem("", f"is not TOML: {error}")]) from None
    except RecursionError:
        raise ConfigurationError(path, [Problem("", "is nested too deeply")]) from None
    problems: list[Problem] = []
    expanded = _expand(tables, (), problems)
    for key, text in _strings(expanded):
        (remember if is_sensitive(key) and not text.startswith("file:") else remember_passwords_in)(text)
    return expanded, problems


def beside(path: Path | None, text: str) -> Path:
    """Return the file or folder that a value of the configuration names: relative to its file; ~ is a home."""
    return (path.absolute().parent if path else Path()) / at_home(text)


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean "url"?', or the known names where none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(names)}" if names else ""


def place(path: Iterable[str | int]) -> str:
    """How a key is named in a message: `[website.home] url`, in a list `[website.home] contains[2]`."""
    names: list[str] = []
    for part in path:
        names = [*names[:-1], f"{names[-1]}[{part}]"] if isinstance(part, int) and names else [*names, str(part)]
    *table, key = names
    return f"[{'.'.join(table)}] {key}" if table else f"[{key}]"


def table(path: Iterable[str | int]) -> str:
    """How a table is named in a message: `[website.home]`; nothing for the whole file."""
    name = ".".join(str(part) for part in path)
    return f"[{name}]" if name else ""


def _expand(value: Any, path: tuple[str | int, ...], problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {key: _expand(each, (*path, key), problems) for key, each in value.items()}
    if isinstance(value, list):
        return [_expand(each, (*path, index), problems) for index, each in enumerate(value)]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _variable(match, path, problems), value)
    return value


def _variable(match: re.Match[str], path: tuple[str | int, ...], problems: list[Problem]) -> str:
    name = match["name"]
    if name is None:
        return "$"
    if name in os.environ:
        if is_sensitive(name):
            remember(os.environ[name])
        return os.environ[name]
    near = difflib.get_close_matches(name, os.environ, n=1)
    hint = f"; did you mean ${{{near[0]}}}?" if near else ""
    problems.append(Problem(place(path), f"the environment has no variable {name or '(no name)'}{hint}"))
    return match[0]


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _strings(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, key)
    elif isinstance(value, str):
        yield key, value
