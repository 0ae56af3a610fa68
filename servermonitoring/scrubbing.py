"""Takes secrets out of text before it leaves the process.

Two nets: every secret that the configuration loaded (known_secrets.py), and credentials told by their form
(known_secrets.py).
"""

import re

from servermonitoring import known_secrets
from servermonitoring.known_secrets import remember, remember_passwords_in

__all__ = ["FILTERED", "is_sensitive", "remember", "remember_passwords_in", "scrub", "scrub_and_cut"]

FILTERED = "[Filtered]"
_GROWTH = 3  # times that a text may grow by scrubbing: four letters become FILTERED
_SENSITIVE = re.compile(
    r"passw|passphrase|passwd|pwd|secret|token|api_?-?key|authorization|credential|cookie|^dsn$|private_?key",
    re.IGNORECASE,
)


def is_sensitive(key: str) -> bool:
    """Whether a key of this name usually holds a secret: password, token, Authorization, …"""
    return _SENSITIVE.search(key) is not None


def scrub(text: str) -> str:
    """The text without secrets."""
    return known_secrets.blank(known_secrets.replace(text, FILTERED), FILTERED)


def scrub_and_cut(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Return at most `limit` characters of the text without secrets; a "…" marks where it was cut.

    Scrub first, cut afterwards: half a secret is not recognized as one. Of a text far longer than the limit only
    the part to be kept is scrubbed; the rest is dropped, with all that could be the half of a secret.
    """
    unsure = _GROWTH * max(known_secrets.LONGEST, known_secrets.longest())
    most = 2 * limit + unsure
    clean = scrub(text[-most:] if keep_end else text[:most])
    if len(text) > most:  # what stands at the cut may be half a secret
        clean = clean[unsure:] if keep_end else clean[:-unsure]
    elif len(clean) <= limit:
        return clean
    return f"…{clean[max(0, len(clean) - limit + 1) :]}" if keep_end else f"{clean[: limit - 1]}…"
