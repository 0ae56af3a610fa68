"""Takes secrets out of text before it leaves the process.

Two nets: every secret that the configuration loaded, word for word (raw, and as URLs, JSON, HTML and reprs
write it), and credentials told by their form. Every repetition in the patterns is bounded, because text comes
from the other side: an unbounded one took 9 s on 20 kB.
"""

import html
import json
import os
import re
from collections.abc import Iterator
from itertools import groupby
from urllib.parse import quote, quote_plus, unquote

FILTERED = "[Filtered]"
_SHORTEST_PIECE = 6
_SHORTEST = 4  # a shorter secret would blank out ordinary words
_LONGEST_MATCH = 1_000  # characters of what a pattern below finds, keyword and all
_GROWTH = 3  # times that a text may grow by scrubbing: four letters become FILTERED

_SENSITIVE = re.compile(
    r"passw|passphrase|passwd|pwd|secret|token|api_?-?key|authorization|credential|cookie|^dsn$|private_?key",
    re.IGNORECASE,
)
# Credentials by their form: what is secret is the one group. `+` after a repetition: it is never given back.
_URL_PASSWORD = re.compile(r"://[^\s/:'\"]{0,200}+:([^\s/'\"]{1,400})@")
_KEY_VALUE = re.compile(
    # The first letters stand apart, in both cases: so re finds them fast, at the price of taking "swd" for "pwd".
    r"[acpstACPST](?i:assword|asswd|wd|assphrase|ecret|oken|pi[_-]?key|uthorization|redentials?|essionid)"
    r"[\w.-]{0,20}+\\?[\"']?\s{0,3}+[=:]\s{0,3}+\\?[\"']?(?i:bearer\s{1,3}+|basic\s{1,3}+)?+"
    r"((?<=\")[^\"\n]{1,400}(?=\")|(?<=')[^'\n]{1,400}(?=')|[^\s&\"',;})\]\[]{1,400})"  # in quotes also spaces
)
# `(?<!\w.)` is \b one letter late: a pattern that begins with letters is found fast.
_SQL_PASSWORD = re.compile(r"[pP](?<!\w.)(?i:assword)\s{1,3}[eE]?'([^'\n]{1,400})'")  # create role … password '…'
_COOKIE = re.compile(r"[cC](?<!\w.)(?i:ookie)[\"']?:\s{0,3}[\"']?([^\r\n\"']{1,400})")
_BEARER = re.compile(r"[bB](?<!\w.)(?i:earer|asic)\s{1,3}([\w.~+/=-]{6,400})")

# In the configuration, where the text is the user's own. First: a URL whose password nobody has quoted.
_CARELESS_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://(?![^\s/@:]*:[^\s/@?#]*@[^\s/@]*(?:[/?#]|$))[^\s/@:]*:(?!\d{1,5}/)(.+)@", re.IGNORECASE
)
_URL_TOKEN = re.compile(r"://([\w-]{20,})@")  # longer than the name of a user: a key, as Sentry's DSN holds one
_DSN_PASSWORD = re.compile(r"password\s*=\s*(?:'((?:[^'\\]|\\.)+)'|([^\s'&]+))", re.IGNORECASE)
_DELIMITERS = re.compile(r"[\s/@:?#&'\"]")
_SCHEME = re.compile(r"(?:bearer|basic|token)\s+(\S+)\s*", re.IGNORECASE)

_remembered: set[str] = set()
_known: tuple[int, re.Pattern[str]] = (0, re.compile(r"(?!)"))  # how many, and one pattern for them all


def is_sensitive(key: str) -> bool:
    """Whether a key of this name usually holds a secret: password, token, Authorization, …"""
    return _SENSITIVE.search(key) is not None


def remember(secret: str) -> None:
    """From now on this text, and the password inside it if it is a URL or a DSN, is scrubbed everywhere."""
    forms = {form for part in (secret, *_passwords_in(secret), *_pieces(secret)) for form in _forms(part)}
    _remembered.update(form for form in forms if len(form.strip()) >= _SHORTEST)


def remember_passwords_in(text: str) -> None:
    """Remember the passwords of URLs in a text that is not itself a secret."""
    for password in _passwords_in(text):
        remember(password)


def scrub(text: str) -> str:
    """The text without secrets."""
    text = _words().sub(FILTERED, text)
    for pattern in (_URL_PASSWORD, _COOKIE, _KEY_VALUE, _BEARER, _SQL_PASSWORD):
        text = _blank(pattern, text)
    return text


def scrub_and_cut(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Return at most `limit` characters of the text without secrets; a "…" marks where it was cut.

    Scrub first, cut afterwards: half a secret is not recognized as one. Of a text far longer than the limit only
    the part to be kept is scrubbed; the rest is dropped, with all that could be the half of a secret.
    """
    unsure = _GROWTH * max(_LONGEST_MATCH, max(map(len, list(_remembered)), default=0))
    most = 2 * limit + unsure
    clean = scrub(text[-most:] if keep_end else text[:most])
    if len(text) > most:  # what stands at the cut may be half a secret
        clean = clean[unsure:] if keep_end else clean[:-unsure]
    elif len(clean) <= limit:
        return clean
    return f"…{clean[max(0, len(clean) - limit + 1) :]}" if keep_end else f"{clean[: limit - 1]}…"


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Put FILTERED in place of the group; twice as fast as re.sub with a reference to what is kept."""
    parts: list[str] = []
    end = 0
    for match in pattern.finditer(text):
        start, stop = match.span(1)
        parts += text[end:start], FILTERED
        end = stop
    return "".join([*parts, text[end:]])


def _words() -> re.Pattern[str]:
    """All that is remembered, the longest first; made anew only when something was added, by any thread."""
    global _known  # noqa: PLW0603 - what is secret is a fact of the whole process
    words = list(_remembered)
    if _known[0] != len(words):
        _known = len(words), re.compile(_any_of(words))
    return _known[1]


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
    for text in (secret, unquote(secret)):
        yield text
        yield from (quote(text, safe="", errors="replace"), quote_plus(text, errors="replace"))
        yield quote(text, errors="replace")
        yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
        yield html.escape(text)
        yield text.replace("\\", r"\\").replace("'", r"\'")  # as libpq wants it


def _pieces(secret: str) -> Iterator[str]:
    """What is left of a password that nobody has quoted, where a client takes a URL or a DSN apart."""
    if "://" in secret or "=" in secret:  # itself a URL or a DSN: its parts are no secrets
        return
    for delimiter in _DELIMITERS.finditer(secret):
        for piece in (secret[: delimiter.start()], secret[delimiter.end() :]):
            if len(piece) >= _SHORTEST_PIECE:
                yield piece


def _passwords_in(text: str) -> list[str]:
    found = [match[1] for match in _URL_PASSWORD.finditer(text)]
    found += _URL_TOKEN.findall(text)
    found += [re.sub(r"\\(.)", r"\1", match[1] or match[2]) for match in _DSN_PASSWORD.finditer(text)]
    if careless := _CARELESS_URL.match(text.strip()):
        # Clients take such a URL apart in the wrong place, and complain of a piece.
        found += [careless[1], *re.split(r"[\s/@:?#]+", careless[1])]
    if scheme := _SCHEME.fullmatch(text):
        found.append(scheme[1])
    return found
