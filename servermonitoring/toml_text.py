"""TOML parser whose errors name the line and what to write instead."""

import re
import tomllib
from typing import Any

DEEPEST = 50  # levels of tables and lists
TOO_DEEP = f"is nested too deeply: at most {DEEPEST} levels"
_KEY = r"(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_DEEP_KEY = re.compile(rf"(?<![\w-])(?:{_KEY}[ \t]*+\.[ \t]*+){{{DEEPEST}}}")  # a.b.c: tomllib takes minutes for it
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
    """Return the tables of a TOML document. Raise ValueError with a message for people."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"is not UTF-8 (line {line}): save it in that encoding") from None
    if _DEEP_KEY.search(text):
        raise ValueError(TOO_DEEP)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError as error:  # also a number of 5,000 digits
        raise ValueError(f"is not TOML: {_in_words(str(error), text)}") from None


def _in_words(message: str, text: str) -> str:
    message, _, place = message.partition(" (at ")
    found = _PLACE.match(place)
    line = text.split("\n")[int(found[1]) - 1] if found else ""
    return f"{_reason(message, line)} (at {place}" if place else _reason(message, line)


def _reason(message: str, line: str) -> str:
    if (curly := _CURLY.search(line)) and not message.startswith(_WITHIN):  # else it is part of a text
        return f'{curly[0]} is a curly quote; write the straight one: "'
    for pattern, words in _WORDS:
        if found := pattern.match(message):
            return words.format(_name(found[1])) if "{}" in words else words
    return message[:1].lower() + message[1:]


def _name(words: str) -> str:
    """Return website.home of "'website', 'home'", as Python writes it."""
    return ".".join(part.strip().strip("'\"") for part in words.split(","))
