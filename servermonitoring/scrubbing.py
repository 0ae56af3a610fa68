"""Takes secrets out of text before it leaves the process.

Two nets: every secret that the configuration loaded, word for word (raw and URL-quoted), and credentials
told by their form. Every repetition in the patterns is bounded: an unbounded one took 9 s on 20 kB of text.
"""

import re
from urllib.parse import quote, quote_plus, unquote

FILTERED = "[Filtered]"
_SHORTEST = 4  # a shorter secret would blank out ordinary words

_SENSITIVE = re.compile(
    r"passw|passphrase|passwd|pwd|secret|token|api_?-?key|authorization|credential|cookie|^dsn$|private_?key",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]{0,20}://[^\s/@:'\"]{0,200}):([^\s/'\"]{1,400})@", re.IGNORECASE)
_KEY_VALUE = re.compile(
    r"((?:password|passwd|pwd|passphrase|secret|token|api[_-]?key|authorization|credentials?|sessionid)"
    r"[\w.-]{0,20}[\"']?\s{0,3}[=:]\s{0,3}[\"']?)(?:bearer\s{1,3}|basic\s{1,3})?([^\s&\"',;}\])\[]{1,400})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s{1,3}[\w.~+/=-]{6,400}", re.IGNORECASE)

_remembered: set[str] = set()


def is_sensitive(key: str) -> bool:
    """Whether a key of this name usually holds a secret: password, token, Authorization, …"""
    return _SENSITIVE.search(key) is not None


def remember(secret: str) -> None:
    """From now on this text, and the password inside it if it is a URL or a DSN, is scrubbed everywhere."""
    for part in (secret, *_passwords_in(secret)):
        for form in (part, unquote(part), quote(part, safe=""), quote_plus(part), quote(part)):
            if len(form) >= _SHORTEST:
                _remembered.add(form)


def remember_passwords_in(text: str) -> None:
    """Remember the passwords of URLs in a text that is not itself a secret."""
    for password in _passwords_in(text):
        remember(password)


def scrub(text: str) -> str:
    """The text without secrets."""
    for secret in sorted(_remembered, key=len, reverse=True):
        text = text.replace(secret, FILTERED)
    text = _URL_PASSWORD.sub(rf"\1:{FILTERED}@", text)
    text = _KEY_VALUE.sub(rf"\1{FILTERED}", text)
    return _BEARER.sub(rf"\1 {FILTERED}", text)


def _passwords_in(text: str) -> list[str]:
    found = [match[2] for match in _URL_PASSWORD.finditer(text)]
    found += [match[1] for match in re.finditer(r"password\s{0,3}=\s{0,3}'?([^\s'&]{1,400})", text)]
    return found
