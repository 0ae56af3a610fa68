"""The secrets of this process, word for word, however those who log them write them: raw, in URLs, JSON, HTML, reprs.

A short secret is looked for as a whole word only; an ordinary word, and what has less than four characters, only where
its key stands before it: gaps in a message would tell what it is.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from urllib.parse import quote, quote_plus, unquote

LONGEST = 5_000  # characters of what a pattern below finds, keyword and all
_SHORTEST_CREDENTIAL = 6  # characters of a secret that is told by its letters alone
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
    return len(value) >= _SHORTEST_CREDENTIAL and (mixed or len(value) > _LONGEST_WORD)


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


_SHORTEST_PIECE = 6
_LONGEST_PASSWORD = 200
_SHORTEST = 4  # a shorter secret would blank out ordinary words
_SHORT = 8  # a shorter one that is all letters, or all digits, is part of ordinary words: "pass" of "password"
ORDINARY = {  # words that are told, whoever takes them for a password
    "admin", "changeme", "default", "fail", "failed", "false", "guest", "login", "monitor", "none", "null", "pass",
    "passwd", "password", "postgres", "public", "rabbitmq", "root", "secret", "server", "status", "test", "token",
    "true", "user", "username",
}  # fmt: skip
# In the configuration, where the text is the user's own. First: a URL whose password nobody has quoted.
_CARELESS_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://(?![^\s/@:]*:[^\s/@?#]*@[^\s/@]*(?:[/?#]|$))[^\s/@:]*:(?!\d{1,5}/)(.+)@", re.IGNORECASE
)
_URL_TOKEN = re.compile(r"://([\w-]{20,})@")  # longer than the name of a user: a key, as Sentry's DSN holds one
_DSN_PASSWORD = re.compile(r"password\s*=\s*(?:'((?:[^'\\]|\\.)+)'|([^\s'&]+))", re.IGNORECASE)
_DELIMITERS = re.compile(r"[\s/@:?#&'\"]")
_SCHEME = re.compile(r"(?:bearer|basic|token)\s+(\S+)\s*", re.IGNORECASE)


class Words:
    """A set of words that only grows, as one pattern; any thread may add to it."""

    def __init__(self, form: str) -> None:
        self.form = form
        self._words: set[str] = set()
        self._compiled: tuple[int, re.Pattern[str]] = (0, re.compile(r"(?!)"))  # how many, and one pattern for all

    def add(self, words: set[str]) -> None:
        self._words |= words

    @property
    def longest(self) -> int:
        """Characters of the longest word."""
        return max(map(len, list(self._words)), default=0)

    def replace(self, text: str, instead: str) -> str:
        """Put another text in place of each word, of those that overlap the longest."""
        words, compiled = list(self._words), self._compiled
        if not words:
            return text
        if compiled[0] != len(words):
            compiled = self._compiled = len(words), re.compile(self.form.format(_any_of(words)))
        return compiled[1].sub(instead, text)


_anywhere = Words("{}")
# A word also begins after an escape sequence: \npass, %20pass.
_alone = Words(r"(?:(?<!\w)|(?<=\\[a-z])|(?<=%[0-9A-Fa-f]{{2}}))(?:{})(?!\w)")


def remember(secret: str, key: str = "") -> None:
    """From now on this text, and the password inside it if it is a URL or a DSN, is scrubbed everywhere.

    An ordinary word and what has less than four characters are scrubbed where the key stands before them.
    """
    if secret.strip().lower() in ORDINARY or len(secret.strip()) < _SHORTEST:
        pairs = _pairs(key, secret) if key and secret.strip() else ()
        _anywhere.add({form for pair in pairs for form in _forms(pair)})
        return
    forms = {form for part in (secret, *_passwords_in(secret), *_pieces(secret)) for form in _forms(part)}
    forms = {form for form in forms if len(form.strip()) >= _SHORTEST}
    alone = {form for form in forms if len(form) < _SHORT and (form.isalpha() or form.isdigit())}
    _alone.add(alone)
    _anywhere.add(forms - alone)


def remember_passwords_in(text: str) -> None:
    """Remember the passwords of URLs and other credentials in a text that is not itself a secret."""
    for password in _passwords_in(text):
        remember(password)


def replace(text: str, instead: str) -> str:
    """Return the text with another in place of every secret."""
    return _alone.replace(_anywhere.replace(text, instead), instead)


def longest() -> int:
    """Return how many characters the longest form of a secret has."""
    return max(_anywhere.longest, _alone.longest)


def _any_of(words: list[str]) -> str:
    """A pattern for all of them that branches letter by letter: a thousand cost hardly more than ten."""
    start = os.path.commonprefix(words)  # noqa: RUF071 - letters are what is wanted
    rests = sorted({word.removeprefix(start) for word in words})
    if rests == [""]:
        return re.escape(start)
    branches = [_any_of(list(group)) for _, group in groupby(filter(None, rests), key=lambda rest: rest[0])]
    return f"{re.escape(start)}(?:{'|'.join(branches)}){'?' if rests[0] == '' else ''}"


def _forms(secret: str) -> Iterator[str]:
    """How a secret is written by those who log it."""
    import html  # it knows 2,231 characters by name; whoever has no secret does without

    for text in (secret, unquote(secret)):
        yield text
        yield from (quote(text, safe="", errors="replace"), quote_plus(text, errors="replace"))
        yield quote(text, errors="replace")
        yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
        yield html.escape(text)
        yield text.replace("\\", r"\\").replace("'", r"\'")  # as libpq wants it


def _pairs(key: str, secret: str) -> Iterator[str]:
    """How a secret is written behind its key."""
    for equals in ("=", ": ", ":"):
        yield f"{key}{equals}{secret}"
        for mark in "\"'":
            yield f"{key}{equals}{mark}{secret}{mark}"
            yield f"{mark}{key}{mark}{equals}{mark}{secret}{mark}"
    yield f'name="{key}" value="{secret}"'


def _pieces(secret: str) -> Iterator[str]:
    """What is left of a password that nobody has quoted, where a client takes a URL or a DSN apart."""
    # A URL's or a DSN's parts are no secrets; nor is what is too long for a password taken for a part of one.
    if "://" in secret or "=" in secret or len(secret) > _LONGEST_PASSWORD:
        return
    for delimiter in _DELIMITERS.finditer(secret):
        for piece in (secret[: delimiter.start()], secret[delimiter.end() :]):
            if len(piece) >= _SHORTEST_PIECE:
                yield piece


def _passwords_in(text: str) -> list[str]:
    found = [*values(text)]
    found += _URL_TOKEN.findall(text)
    found += [re.sub(r"\\(.)", r"\1", match[1] or match[2]) for match in _DSN_PASSWORD.finditer(text)]
    if careless := _CARELESS_URL.match(text.strip()):
        # Clients take such a URL apart in the wrong place, and complain of a piece.
        found += [careless[1], *re.split(r"[\s/@:?#]+", careless[1])]
    if scheme := _SCHEME.fullmatch(text):
        found.append(scheme[1])
    return found
