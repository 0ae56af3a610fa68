"""Scrubbing of text before it leaves the process: of the secrets in the configuration and of what looks like one."""

import re

from servermonitoring import known_secrets
from servermonitoring.known_secrets import remember, remember_passwords_in

__all__ = ["FILTERED", "is_sensitive", "remember", "remember_passwords_in", "scrub", "scrub_and_cut"]

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
    return known_secrets.blank(known_secrets.replace(text, FILTERED), FILTERED)


def scrub_and_cut(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Return at most `limit` characters of the text without secrets; "…" marks the cut.

    Scrub first, cut afterwards: half a secret is not recognized. Of a text far longer than the limit only the part
    to keep is scrubbed; the rest is dropped, with all that could be half a secret.
    """
    unsure = _GROWTH * max(known_secrets.LONGEST, known_secrets.longest())
    most = 2 * limit + unsure
    clean = scrub(text[-most:] if keep_end else text[:most])
    if len(text) > most:  # at the cut may be half a secret
        clean = clean[unsure:] if keep_end else clean[:-unsure]
    elif len(clean) <= limit:
        return clean
    return f"…{clean[max(0, len(clean) - limit + 1) :]}" if keep_end else f"{clean[: limit - 1]}…"
