"""Configuration file: its place, its TOML, its content and the messages about its errors."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from servermonitoring.additional_files import Tables, merge
from servermonitoring.files import at_home, read_regular
from servermonitoring.scrubbing import (
    credentials_in,
    is_sensitive,
    looks_secret,
    remember,
    remember_passwords_in,
    scrub_and_cut,
)

NAME = "servermonitoring.toml"
VARIABLE = "SERVERMONITORING_CONFIG"
_LARGEST = 5_000_000  # bytes
_LONGEST_TEXT = 100_000  # characters of any value
_LARGEST_NUMBER = 10**15  # of any value: a petabyte
_DEEPEST = 50  # levels of tables and lists
_TOO_DEEP = f"is nested too deeply: at most {_DEEPEST} levels"
_LONGEST_PROBLEM, _MOST_PROBLEMS = 1_000, 100  # characters; problems that are shown
_REFERENCE = re.compile(r"\$(?:\$(?=\{)|\{(?P<name>[^}]*)\})")  # ${NAME}; $${ is a literal ${


class Problem(NamedTuple):
    """One error: its table and key, and what to write instead."""

    where: str
    what: str

    def __str__(self) -> str:
        return scrub_and_cut(f"{self.where}: {self.what}" if self.where else self.what, _LONGEST_PROBLEM)


class ConfigurationError(Exception):
    """All errors of one configuration: of its file and the additional ones."""

    def __init__(self, path: Path, problems: Iterable[Problem], tables: Tables | None = None) -> None:
        """`tables`: those of the file, by which a problem is named with the additional file that has it."""
        self.path, self.problems = path, list(problems)
        sources = [tables.source(each.where) if tables else "" for each in self.problems]
        named = zip(sources, self.problems, strict=True)
        lines = [f"  {source}: {each}" if source else f"  {each}" for source, each in named][:_MOST_PROBLEMS]
        more = len(self.problems) - len(lines)
        lines += [f"  and {more} more"] if more else []
        super().__init__(_printable("\n".join([f"configuration {path} is wrong:", *lines])))


def find(given: str | None = None) -> Path | None:
    """Return the file to read: the given one, $SERVERMONITORING_CONFIG, or servermonitoring.toml here or in /etc.

    The first two are returned also if there is no such file, so that a misspelt name is an error.
    """
    named = given or os.environ.get(VARIABLE)
    if named:
        return at_home(named)
    return next((path for path in (Path(NAME), Path("/etc", NAME)) if path.exists()), None)


def read(path: Path) -> tuple[Tables, list[Problem]]:
    """Return the tables of a file and its additional ones, with ${NAME} replaced, and the errors of that.

    Remember their secrets. Raise ConfigurationError for a main file that cannot be read at all; of the additional ones
    that is a problem.
    """
    try:
        return with_additional_files(path, tables_of(read_regular(path, _LARGEST)))
    except OSError as error:
        raise ConfigurationError(path, [Problem("", f"cannot be read: {error.strerror or error}")]) from None
    except ValueError as error:
        raise ConfigurationError(path, [Problem("", str(error))]) from None


def with_additional_files(path: Path, tables: dict[str, Any]) -> tuple[Tables, list[Problem]]:
    """Return these tables and those of the additional files, with ${NAME} replaced, and all errors of that.

    Raise ValueError if they are nested too deeply.
    """
    merged, faults = merge(path, tables, tables_of)
    complete, problems = expanded(merged)
    return Tables(complete, merged.sources), [*(Problem(*each) for each in faults), *problems]


_KEY = r"(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_DEEP_KEY = re.compile(rf"(?<![\w-])(?:{_KEY}[ \t]*+\.[ \t]*+){{{_DEEPEST}}}")  # a.b.c: tomllib takes minutes for it
_PLACE = re.compile(r"line (\d+)")
_CURLY = re.compile("[\u2018-\u201f\u00ab\u00bb]")  # every quote of typographers
_WITHIN = (  # messages of tomllib for lines where a curly quote may be part of a text
    "Illegal character",
    "Found invalid character",
    "Unterminated",
    "Expected",
)
_WORDS = [  # message of tomllib, our message; {} is the name of a table
    (re.compile(r"Unclosed array"), "a list has no closing bracket: ]"),
    (
        re.compile(r"(?:Illegal|Found invalid) character '\\n'|Unterminated string|Expected ['\"]{3}"),
        'a text has no closing quote: write "text"',
    ),
    (re.compile(r"Cannot declare \((.*?),?\) twice"), "[{}] appears twice: write all its keys below the first"),
    (re.compile(r"Cannot mutate immutable namespace \((.*?),?\)"), "{} is already defined and cannot be extended"),
    (re.compile(r"Cannot overwrite a value"), "a key appears twice"),
    (re.compile(r"Invalid value"), 'invalid value; write texts in quotes: "text"'),
]


def tables_of(data: bytes) -> dict[str, Any]:
    """Return the tables of a TOML document. Raise ValueError that names the line and what to write instead."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 (line {line}): save it in that encoding") from None
    if _DEEP_KEY.search(text):
        raise ValueError(_TOO_DEEP)
    try:
        return _toml(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:  # also a number of 5,000 digits
        raise ValueError(f"is not TOML: {_error_in_words(str(error), text)}") from None


def _toml(text: str) -> dict[str, Any]:
    import tomllib  # 0.7 MB that the watchdog does not need

    return tomllib.loads(text)


def _error_in_words(message: str, text: str) -> str:
    message, _, place = message.partition(" (at ")
    found = _PLACE.match(place)
    line = text.split("\n")[int(found[1]) - 1] if found else ""
    return f"{_toml_reason(message, line)} (at {place}" if place else _toml_reason(message, line)


def _toml_reason(message: str, line: str) -> str:
    if (curly := _CURLY.search(line)) and not message.startswith(_WITHIN):  # else it is part of a text
        return f'{curly[0]} is a curly quote; write the straight one: "'
    for pattern, words in _WORDS:
        if found := pattern.match(message):
            return words.format(_table_name(found[1])) if "{}" in words else words
    return message[:1].lower() + message[1:]


def _table_name(words: str) -> str:
    """Return website.home of "'website', 'home'", as Python writes it."""
    return ".".join(part.strip().strip("'\"") for part in words.split(","))


def expanded(tables: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the tables with ${NAME} replaced, and the errors of that and of values out of range; remember secrets.

    Raise ValueError if they are nested too deeply.
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
    """Escape lone surrogates, as Python reads names that are not UTF-8: no terminal shows them."""
    return text.encode(errors="backslashreplace").decode()


def relative_to_file(path: Path | None, text: str) -> Path:
    """Return the path that a value of the configuration names: relative to its file; ~ is a home directory.

    Every path of the configuration is read here.
    """
    return (path.absolute().parent if path else Path()) / at_home(text)


def most_similar(name: str, known: Iterable[str], at_least: float = 0.6) -> str:
    """Return the known name most similar to this one; "" if none is at least that similar (0 to 1)."""
    import difflib  # only errors need it, and the watchdog stays small

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=at_least)), "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return '; did you mean "url"?', or the known names if none is similar."""
    names = sorted(known)
    if close := most_similar(name, names):
        return f'; did you mean "{close}"?'
    return f"; known: {', '.join(names)}" if names else ""


def place(path: Iterable[str | int]) -> str:
    """Return the name of a key in messages: `[website.home] url`, in a list `[website.home] contains[2]`."""
    names: list[str] = []
    for part in path:
        names = [*names[:-1], f"{names[-1]}[{part}]"] if isinstance(part, int) and names else [*names, str(part)]
    *table, key = names
    return f"[{'.'.join(table)}] {key}" if table else f"[{key}]"


def table(path: Iterable[str | int]) -> str:
    """Return the name of a table in messages: `[website.home]`; "" for the whole file."""
    name = ".".join(str(part) for part in path)
    return f"[{name}]" if name else ""


def _expand(value: Any, path: tuple[str | int, ...], problems: list[Problem]) -> Any:
    if len(path) > _DEEPEST:
        raise ValueError(_TOO_DEEP)
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
        return f"is a text of {len(value)} characters, maximum {_LONGEST_TEXT}"
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
    """Return whether the key, or a table below the target, has the name of a secret; names of targets do not count."""
    return any(map(is_sensitive, (*path[2:], *path[-1:])))


def _strings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each text with the names above it; texts of a list have the name of the list."""
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
    """Return the value's repr, of a boolean as TOML has it; "" if its key or the value itself looks secret."""
    if any(is_sensitive(str(part)) for part in path) or any(map(_may_be_secret, _texts(value))):
        return ""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return scrub_and_cut(text, _LONGEST)


def safe_message(message: str, value: object, path: Iterable[str | int] = ()) -> str:
    """Return a message about a value, without the value if that may be secret."""
    return message if echo(value, path) else without(message, value)


def without(message: str, value: object) -> str:
    """Return a message of a library without the value and without the texts that the value holds."""
    for text in (repr(value), str(value), *_texts(value)):
        if text.strip():
            message = message.replace(text, "the value")
    return message


def _may_be_secret(text: str) -> bool:
    return any(credentials_in(text)) or any(_is_like_a_key(word) for word in text.split())


def _is_like_a_key(word: str) -> bool:
    """Return whether a word is long, of letters and digits, and no address or path: the form of tokens."""
    return len(word) >= _LIKE_A_KEY and looks_secret(word) and not set("/.") & set(word)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from (str(key), *_texts(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
