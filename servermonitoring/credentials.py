"""Credentials told by their form: `password=…`, `Authorization: Bearer …`, `https://user:…@host`.

Every repetition in the patterns is bounded, because text comes from the other side: an unbounded one took 9 s on
20 kB. A message that only speaks of passwords and tokens stays as it is: after a colon, in prose, a value has to
look like a secret.
"""

import re
from collections.abc import Callable, Iterator

LONGEST = 5_000  # characters of what a pattern below finds, keyword and all
_SHORTEST = 6  # characters of a secret that is told by its letters alone
_LONGEST_WORD = 24  # characters; longer words than that are keys
_URL_PASSWORD = re.compile(r"://[^\s/:'\"]{0,200}+:([^\s/'\"]{1,400})@")
_KEY_VALUE = re.compile(
    # The first letters stand apart, in both cases: so re finds them fast, at the price of taking "swd" for "pwd".
    r"[acpstACPST](?i:assword|asswd|wd|assphrase|ecret|oken|pi[_-]?key|uthorization|redentials?|essionid)"
    r"[\w.-]{0,20}+\\?[\"']?\s{0,3}+[=:]=?\s{0,3}+(?:[bru](?=[\"']))?\\?[\"']?(?i:bearer\s{1,3}+|basic\s{1,3}+)?+"
    r"((?<=\")[^\"\n]{1,400}(?=\")|(?<=')[^'\n]{1,400}(?=')|[^\s&\"',;})\]\[]{1,4000}+)"  # in quotes also spaces
)
# `(?<!\w.)` is \b one letter late: a pattern that begins with letters is found fast.
_SQL_PASSWORD = re.compile(r"[pP](?<!\w.)(?i:assword)\s{1,3}[eE]?'([^'\n]{1,400})'")  # create role … password '…'
_COOKIE = re.compile(r"[cC](?<!\w.)(?i:ookie)[\"']?:\s{0,3}[\"']?([^\s\"'=;]{1,100}+=[^\r\n\"']{0,4000}+)")
_TOKEN = re.compile(r"[bB](?<!\w.)(?i:earer|asic)\s{1,3}([\w.~+/=-]{6,4000}+)")
_SYMBOL = re.compile(r"[^\w\s.,:;/\\()-]")


def values(text: str) -> Iterator[str]:
    """Yield what is secret in a text."""
    for pattern, is_credential in _PATTERNS:
        yield from (match[1] for match in pattern.finditer(text) if is_credential(match))


def blank(text: str, instead: str) -> str:
    """Return the text with another in place of what is secret in it."""
    for pattern, is_credential in _PATTERNS:
        text = _blank(text, pattern, is_credential, instead)
    return text


def looks_secret(value: str) -> bool:
    """Whether a word looks like a password or key, and not like one of a message: 3, missing, OSError, 45s."""
    value = value.rstrip(".,:;!?")
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    mixed = (letters and digits) or value.isdigit() or _SYMBOL.search(value) is not None
    return len(value) >= _SHORTEST and (mixed or len(value) > _LONGEST_WORD)


def _blank(text: str, pattern: re.Pattern[str], is_credential: "Callable[[re.Match[str]], bool]", instead: str) -> str:
    """Twice as fast as re.sub with a reference to what is kept."""
    parts: list[str] = []
    end = 0
    for match in pattern.finditer(text):
        if is_credential(match):
            start, stop = match.span(1)
            parts += text[end:start], instead
            end = stop
    return "".join([*parts, text[end:]])


def _always(_match: "re.Match[str]") -> bool:
    return True


def _is_value(match: "re.Match[str]") -> bool:
    """What stands in quotes, after a sign of equality or after "Bearer" is one; after a colon what looks like one."""
    before = match.string[match.start() : match.start(1)].rstrip()
    return not before.endswith(":") or looks_secret(match[1])


def _is_token(match: "re.Match[str]") -> bool:
    return looks_secret(match[1])


_PATTERNS: list[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]]] = [
    (_URL_PASSWORD, _always), (_COOKIE, _always), (_KEY_VALUE, _is_value), (_TOKEN, _is_token),
    (_SQL_PASSWORD, _always),
]  # fmt: skip
