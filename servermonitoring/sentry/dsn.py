"""Sentry's DSN: which one is in force, and what is in it. Needs no sentry_sdk."""

import os
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from servermonitoring.scrubbing import remember

HEALTHCHECKS = "HEALTHCHECKS_SENTRY_DSN"  # the suite's own variable
_LONG = 16  # letters of a key that are no ordinary word


class Dsn(NamedTuple):
    """Where events go."""

    text: str
    key: str
    secret: str | None
    host: str
    envelopes: str  # the URL to POST to

    def __repr__(self) -> str:
        return f"Dsn(host={self.host!r}, envelopes={self.envelopes!r})"

    @classmethod
    def parse(cls, text: str) -> "Dsn":
        """Of "https://KEY@HOST/PROJECT". Raises ValueError, in words that do not show the key."""
        parts = _split(text.strip())
        if parts.scheme not in {"http", "https"}:
            raise ValueError(f"the DSN does not begin with https://{_FORM}")
        if not parts.hostname:
            raise ValueError(f"the DSN has no host{_FORM}")
        if not parts.username:
            raise ValueError(f"the DSN has no key before its host{_FORM}")
        path, _, project = parts.path.rpartition("/")
        if not (project.isascii() and project.isdecimal()):
            raise ValueError(f"the DSN does not end with the number of a project{_FORM}")
        for secret in (parts.username, parts.password):
            if secret and len(secret) >= _LONG:
                remember(secret)
        host = parts.netloc.rpartition("@")[2]
        url = f"{parts.scheme}://{host}{path}/api/{project}/envelope/"
        return cls(text.strip(), parts.username, parts.password, host, url)

    def auth(self, client: str) -> str:
        """The value of X-Sentry-Auth."""
        secret = f", sentry_secret={self.secret}" if self.secret else ""
        return f"Sentry sentry_key={self.key}, sentry_version=7, sentry_client={client}{secret}"


_FORM = ": https://KEY@HOST/PROJECT is what Sentry shows under Client Keys"


def in_force(variable: str, configured: str | Callable[[], str] = "") -> str:
    """The DSN: of this variable, else of $SENTRY_DSN, else the configured one, which is asked for only then.

    A variable that is set, but empty, means none.
    """
    for name in (variable, "SENTRY_DSN"):
        if name in os.environ:
            return os.environ[name].strip()
    return configured() if callable(configured) else configured


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"the DSN is no URL{_FORM}") from None
    return parts
