"""Scrubbing of text before it leaves the process: of the secrets in the configuration and of what looks like one.

Secrets are found in every form that libraries log: raw, URL, JSON, HTML, repr. A short secret is matched as a whole
word only; an ordinary word, and one of less than four characters, only after its key: gaps in a message would reveal
it.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote

FILTERED = "[Filtered]"
_GROWTH = 3  # factor by which scrubbing may lengthen a text: four letters become FILTERED
_SENSITIVE = re.compile(
    r"passw|passphrase|passwd|pwd|secret|token|api_?-?key|authorization|credential|cookie|^dsn$|private_?key",
    re.IGNORECASE,
)


def is_sensitive(key: str) -> bool:
    """Return whether a key of this name usually holds a secret: password, token, Authorization, …"""
    return _SENSITIVE.search(key) is not None


def scrub(text: str) -> str:
    """Return the text without secrets."""
    return _without_credentials(_without_remembered(text))


def scrub_and_cut(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Return at most `limit` characters of the text without secrets; "…" marks the cut.

    Scrub first, cut afterwards: half a secret is not recognized. Of a text far longer than the limit only the part
    to keep is scrubbed; the rest is dropped, with all that could be half a secret.
    """
    unsure = _GROWTH * max(_LONGEST, _anywhere.longest, _alone.longest)
    most = 2 * limit + unsure
    clean = scrub(text[-most:] if keep_end else text[:most])
    if len(text) > most:  # at the cut may be half a secret
        clean = clean[unsure:] if keep_end else clean[:-unsure]
    elif len(clean) <= limit:
        return clean
    return f"…{clean[max(0, len(clean) - limit + 1) :]}" if keep_end else f"{clean[: limit - 1]}…"


def scrubbed(value: Any, key: str = "") -> Any:
    """Return the value with each string in it scrubbed, and the values of sensitive keys filtered."""
    if isinstance(value, dict):
        return {scrub(str(name)): scrubbed(each, str(name)) for name, each in value.items()}
    if key and is_sensitive(key) and value is not None and not isinstance(value, bool):
        return FILTERED
    if isinstance(value, list | tuple):
        return [scrubbed(each) for each in value]
    return scrub(value) if isinstance(value, str) else value


_LONGEST = 5_000  # characters of a match of the patterns below, with its keyword
_SHORTEST_CREDENTIAL = 6  # characters of a secret that is recognized by its form
_LONGEST_WORD = 24  # characters; longer words are keys
_URL_PASSWORD = re.compile(r"://[^\s/:'\"]{0,200}+:([^\s/'\"]{1,400})@")
_KEY_VALUE = re.compile(
    # The first letters come first, in both cases: re finds them fast, at the price of matching "swd" as "pwd".
    r"[acpstACPST](?i:assword|asswd|wd|assphrase|ecret|oken|pi[_-]?key|uthorization|redentials?|essionid)"
    r"[\w.-]{0,20}+\\?[\"']?\s{0,3}+[=:]=?\s{0,3}+(?:[bru](?=[\"']))?\\?[\"']?(?i:bearer\s{1,3}+|basic\s{1,3}+)?+"
    r"((?<=\")[^\"\n]{1,400}(?=\")|(?<=')[^'\n]{1,400}(?=')|[^\s&\"',;})\]\[]{1,4000}+)"  # in quotes also spaces
)
# `(?<!\w.)` is \b one letter late: re finds a pattern that begins with letters fast.
_SQL_PASSWORD = re.compile(r"[pP](?<!\w.)(?i:assword)\s{1,3}[eE]?'([^'\n]{1,400})'")  # create role … password '…'
_COOKIE = re.compile(r"[cC](?<!\w.)(?i:ookie)[\"']?:\s{0,3}[\"']?([^\s\"'=;]{1,100}+=[^\r\n\"']{0,4000}+)")
_TOKEN = re.compile(r"[bB](?<!\w.)(?i:earer|asic)\s{1,3}([\w.~+/=-]{6,4000}+)")
# One of these begins each match of the patterns above, except a password in a URL.
_KEYWORD = re.compile(
    r"[abcpstABCPST](?i:assword|asswd|wd|assphrase|ecret|oken|pi[_-]?key|uthorization|redential|essionid|ookie|earer|asic)"
)
_SYMBOL = re.compile(r"[^\w\s.,:;/\\()-]")


def credentials_in(text: str) -> Iterator[str]:
    """Yield the credentials in a text."""
    for pattern, is_credential in _PATTERNS:
        yield from (match[1] for match in pattern.finditer(text) if is_credential(match))


def _without_credentials(text: str) -> str:
    if "://" not in text and _KEYWORD.search(text) is None:  # as nearly all texts: one search in the place of five
        return text
    for pattern, is_credential in _PATTERNS:
        text = _blank(text, pattern, is_credential)
    return text


def looks_secret(value: str) -> bool:
    """Return whether a word looks like a password or key, unlike words of messages: 3, missing, OSError, 45s."""
    value = value.rstrip(".,:;!?")
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    mixed = (letters and digits) or value.isdigit() or _SYMBOL.search(value) is not None
    return len(value) >= _SHORTEST_CREDENTIAL and (mixed or len(value) > _LONGEST_WORD)


def _blank(text: str, pattern: re.Pattern[str], is_credential: "Callable[[re.Match[str]], bool]") -> str:
    """Replace the first group of each match: twice as fast as re.sub with references."""
    parts: list[str] = []
    end = 0
    for match in pattern.finditer(text):
        if is_credential(match):
            start, stop = match.span(1)
            parts += text[end:start], FILTERED
            end = stop
    return "".join([*parts, text[end:]])


def _always(_match: "re.Match[str]") -> bool:
    return True


def _is_value(match: "re.Match[str]") -> bool:
    """Return whether a value is secret: in quotes, after = or "Bearer" always, after a colon if it looks like one."""
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
ORDINARY = {  # words that are shown though somebody uses them as a password
    "admin", "changeme", "default", "fail", "failed", "false", "guest", "login", "monitor", "none", "null", "pass",
    "passwd", "password", "postgres", "public", "rabbitmq", "root", "secret", "server", "status", "test", "token",
    "true", "user", "username",
}  # fmt: skip
# For texts of the configuration. First: a URL with an unquoted password.
_CARELESS_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://(?![^\s/@:]*:[^\s/@?#]*@[^\s/@]*(?:[/?#]|$))[^\s/@:]*:(?!\d{1,5}/)(.+)@", re.IGNORECASE
)
_URL_TOKEN = re.compile(r"://([\w-]{20,})@")  # too long for a user name: a key, as in Sentry's DSN
_DSN_PASSWORD = re.compile(r"password\s*=\s*(?:'((?:[^'\\]|\\.)+)'|([^\s'&]+))", re.IGNORECASE)
_DELIMITERS = re.compile(r"[\s/@:?#&'\"]")
_SCHEME = re.compile(r"(?:bearer|basic|token)\s+(\S+)\s*", re.IGNORECASE)


class Words:
    """A growing set of words, compiled to one pattern. Thread-safe."""

    def __init__(self, form: str) -> None:
        self.form = form
        self._words: set[str] = set()
        self._compiled = _Compiled(0, 0, re.compile(r"(?!)"))

    def add(self, words: set[str]) -> None:
        self._words |= words

    def all_words(self) -> list[str]:
        return sorted(self._words)

    @property
    def longest(self) -> int:
        """Length of the longest word, characters."""
        return self._of_all().longest

    def replace(self, text: str, instead: str) -> str:
        """Replace each word; of overlapping ones the longest."""
        return self._of_all().pattern.sub(instead, text) if self._words else text

    def _of_all(self) -> "_Compiled":
        compiled = self._compiled
        if compiled.number != len(self._words):
            words = list(self._words)
            pattern = re.compile(self.form.format(_any_of(words)))
            compiled = self._compiled = _Compiled(len(words), max(map(len, words)), pattern)
        return compiled


class _Compiled(NamedTuple):
    """What is derived from all words."""

    number: int  # of words
    longest: int  # characters
    pattern: re.Pattern[str]


_anywhere = Words("{}")
# A word also begins after an escape sequence: \npass, %20pass.
_alone = Words(r"(?:(?<!\w)|(?<=\\[a-z])|(?<=%[0-9A-Fa-f]{{2}}))(?:{})(?!\w)")


def remember(secret: str, key: str = "") -> None:
    """Scrub this text from now on everywhere, and the password in it if it is a URL or a DSN.

    An ordinary word, and one of less than four characters, is scrubbed after its key only.
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


def remembered() -> list[list[str]]:
    """Return the forms of all secrets that are scrubbed, for `remember_forms` in another process of this program."""
    return [_anywhere.all_words(), _alone.all_words()]


def remember_forms(forms: list[list[str]]) -> None:
    """Scrub from now on what another process has remembered."""
    for words, more in zip((_anywhere, _alone), forms, strict=True):
        words.add(set(more))


def remember_passwords_in(text: str) -> None:
    """Remember the passwords of URLs and other credentials in a text that is not itself a secret."""
    for password in _passwords_in(text):
        remember(password)


def _without_remembered(text: str) -> str:
    return _alone.replace(_anywhere.replace(text, FILTERED), FILTERED)


def _any_of(words: list[str]) -> str:
    """Return a pattern of all words that branches letter by letter: a thousand cost hardly more than ten."""
    start = os.path.commonprefix(words)  # noqa: RUF071 - letters are what is wanted
    rests = sorted({word.removeprefix(start) for word in words})
    if rests == [""]:
        return re.escape(start)
    branches = [_any_of(list(group)) for _, group in groupby(filter(None, rests), key=lambda rest: rest[0])]
    return f"{re.escape(start)}(?:{'|'.join(branches)}){'?' if rests[0] == '' else ''}"


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms in which libraries log a secret."""
    import html  # loads a table of 2,231 names: only when there is a secret

    for text in (secret, unquote(secret)):
        yield text
        yield from (quote(text, safe="", errors="replace"), quote_plus(text, errors="replace"))
        yield quote(text, errors="replace")
        yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
        yield html.escape(text)
        yield text.replace("\\", r"\\").replace("'", r"\'")  # as libpq quotes it


def _pairs(key: str, secret: str) -> Iterator[str]:
    """Yield the forms of a secret after its key."""
    for equals in ("=", ": ", ":"):
        yield f"{key}{equals}{secret}"
        for mark in "\"'":
            yield f"{key}{equals}{mark}{secret}{mark}"
            yield f"{mark}{key}{mark}{equals}{mark}{secret}{mark}"
    yield f'name="{key}" value="{secret}"'


def _pieces(secret: str) -> Iterator[str]:
    """Yield the pieces into which clients cut an unquoted password in a URL or DSN."""
    # Parts of a URL or a DSN are not secret; a text too long for a password is not part of one.
    if "://" in secret or "=" in secret or len(secret) > _LONGEST_PASSWORD:
        return
    for delimiter in _DELIMITERS.finditer(secret):
        for piece in (secret[: delimiter.start()], secret[delimiter.end() :]):
            if len(piece) >= _SHORTEST_PIECE:
                yield piece


def _passwords_in(text: str) -> list[str]:
    found = [*credentials_in(text)]
    found += _URL_TOKEN.findall(text)
    found += [re.sub(r"\\(.)", r"\1", match[1] or match[2]) for match in _DSN_PASSWORD.finditer(text)]
    if careless := _CARELESS_URL.match(text.strip()):
        # Clients cut such a URL at the wrong place and report a piece.
        found += [careless[1], *re.split(r"[\s/@:?#]+", careless[1])]
    if scheme := _SCHEME.fullmatch(text):
        found.append(scheme[1])
    return found
