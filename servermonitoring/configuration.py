"""The configuration file: where it is found, how it is read, and how what is wrong with it is said."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from servermonitoring import known_secrets
from servermonitoring.files import at_home, read_regular
from servermonitoring.scrubbing import is_sensitive, remember, remember_passwords_in, scrub_and_cut
from servermonitoring.toml_text import DEEPEST, TOO_DEEP, tables_of

NAME = "servermonitoring.toml"
VARIABLE = "SERVERMONITORING_CONFIG"
_LARGEST = 5_000_000  # bytes
_LONGEST_TEXT = 100_000  # characters of any value
_LARGEST_NUMBER = 10**15  # of any value: a petabyte
_LONGEST_PROBLEM, _MOST_PROBLEMS = 1_000, 100  # characters; problems that are shown
_REFERENCE = re.compile(r"\$(?:\$(?=\{)|\{(?P<name>[^}]*)\})")  # ${NAME}; $${ is a literal ${


class Problem(NamedTuple):
    """One thing that is wrong: in which table and key, and what to write instead."""

    where: str
    what: str

    def __str__(self) -> str:
        return scrub_and_cut(f"{self.where}: {self.what}" if self.where else self.what, _LONGEST_PROBLEM)


class ConfigurationError(Exception):
    """Everything that is wrong with one configuration file, at once."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path, self.problems = path, list(problems)
        lines = [f"  {each}" for each in self.problems[:_MOST_PROBLEMS]]
        more = len(self.problems) - len(lines)
        lines += [f"  and {more} more"] if more else []
        super().__init__(_printable("\n".join([f"configuration {path} is wrong:", *lines])))


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
        return expanded(tables_of(read_regular(path, _LARGEST)))
    except OSError as error:
        raise ConfigurationError(path, [Problem("", f"cannot be read: {error.strerror or error}")]) from None
    except ValueError as error:
        raise ConfigurationError(path, [Problem("", str(error))]) from None


def expanded(tables: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The tables with ${NAME} replaced, and what is wrong with that or out of all bounds; remembers secrets.

    Raises ValueError for what is nested too deeply.
    """
    problems: list[Problem] = []
    complete = _expand(tables, (), problems)
    for path, text in _strings(complete):
        if not _holds_secrets(path) or text.startswith("file:"):
            remember_passwords_in(text)
        else:
            remember(text, path[-1])
    return complete, problems


def _printable(text: str) -> str:
    """Names of files and variables that are not UTF-8 arrive as lone surrogates, which no terminal takes."""
    return text.encode(errors="backslashreplace").decode()


def beside(path: Path | None, text: str) -> Path:
    """Return the file or folder that a value of the configuration names: relative to its file; ~ is a home."""
    return (path.absolute().parent if path else Path()) / at_home(text)


def most_similar(name: str, known: Iterable[str], at_least: float = 0.6) -> str:
    """Return the known name that is most like this one; "" if none is that similar, from 0 to 1."""
    import difflib  # only mistakes need it, and the watchdog is to be small

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=at_least)), "")


def nearest(name: str, known: Iterable[str]) -> str:
    """'; did you mean "url"?', or the known names where none is near."""
    names = sorted(known)
    if close := most_similar(name, names):
        return f'; did you mean "{close}"?'
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
    if len(path) > DEEPEST:
        raise ValueError(TOO_DEEP)
    if isinstance(value, dict):
        return {key: _expand(each, (*path, key), problems) for key, each in value.items()}
    if isinstance(value, list):
        return [_expand(each, (*path, index), problems) for index, each in enumerate(value)]
    if isinstance(value, str):
        value = _REFERENCE.sub(lambda match: _variable(match, path, problems), value)
    if what := _out_of_bounds(value):
        problems.append(Problem(place(path), what))
    return value


def _out_of_bounds(value: Any) -> str:
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"is a text of {len(value)} characters, at most {_LONGEST_TEXT}"
    if isinstance(value, int | float) and not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:  # nan is in no range
        return f"is out of range: write a number from -{_LARGEST_NUMBER} to {_LARGEST_NUMBER}"
    return ""


def _variable(match: re.Match[str], path: tuple[str | int, ...], problems: list[Problem]) -> str:
    name = match["name"]
    if name is None:
        return "$"
    if name in os.environ:
        return _text_of(name, path, problems)
    near = most_similar(name, os.environ)
    hint = f"; did you mean ${{{near}}}?" if near else ""
    problems.append(Problem(place(path), f"the environment has no variable {name or '(no name)'}{hint}"))
    return match[0]


def _text_of(name: str, path: tuple[str | int, ...], problems: list[Problem]) -> str:
    text = os.environ[name]
    if is_sensitive(name):
        remember(text, name)
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # how Python reads bytes that are not UTF-8
        problems.append(Problem(place(path), f"the environment variable {name} is not UTF-8"))
        return ""
    return text


def _holds_secrets(path: tuple[str, ...]) -> bool:
    """Whether the key is called as secrets are, or what it is in; the names of targets mean nothing."""
    return any(map(is_sensitive, (*path[2:], *path[-1:])))


def _strings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each text with the names above it; a list gives its texts its own name."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _strings(each, (*path, name))
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, path)
    elif isinstance(value, str):
        yield path, value


_LONGEST = 100  # characters
_LIKE_A_KEY = 20  # characters of letters and digits without a break


def echo(value: object, path: Iterable[str | int] = ()) -> str:
    """Return the value's repr; nothing where the path of its key, or the value itself, says that it may be secret."""
    if any(is_sensitive(str(part)) for part in path) or any(map(_may_be_secret, _texts(value))):
        return ""
    return scrub_and_cut(repr(value), _LONGEST)


def told(message: str, value: object, path: Iterable[str | int] = ()) -> str:
    """Return a message about a value as it is, or without the value where that may be secret."""
    return message if echo(value, path) else without(message, value)


def without(message: str, value: object) -> str:
    """Return a message that others made without the value in it, and without the texts that the value holds."""
    for text in (repr(value), str(value), *_texts(value)):
        if text.strip():
            message = message.replace(text, "the value")
    return message


def _may_be_secret(text: str) -> bool:
    return any(known_secrets.values(text)) or any(_is_like_a_key(word) for word in text.split())


def _is_like_a_key(word: str) -> bool:
    """Long, of letters and digits, and no address or path: what services give out as tokens."""
    return len(word) >= _LIKE_A_KEY and known_secrets.looks_secret(word) and not set("/.") & set(word)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from (str(key), *_texts(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
