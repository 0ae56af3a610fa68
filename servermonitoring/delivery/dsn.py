"""Sentry's DSN: where it is configured and what it holds. Needs no sentry_sdk."""

import os
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from servermonitoring.scrubbing import remember

HEALTHCHECKS = "HEALTHCHECKS_SENTRY_DSN"  # the suite's own variable
_LONG = 16  # letters; a key of that length is not an ordinary word


class Dsn(NamedTuple):
    """Address and key of a Sentry project."""

    text: str
    key: str
    secret: str | None
    host: str
    envelopes: str  # the URL to POST to

    def __repr__(self) -> str:
        return f"Dsn(host={self.host!r}, envelopes={self.envelopes!r})"

    @classmethod
    def parse(cls, text: str) -> "Dsn":
        """Parse "https://KEY@HOST/PROJECT". Raise ValueError with a message that does not show the key."""
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
        """Return the value of X-Sentry-Auth."""
        secret = f", sentry_secret={self.secret}" if self.secret else ""
        return f"Sentry sentry_key={self.key}, sentry_version=7, sentry_client={client}{secret}"


_FORM = ": write https://KEY@HOST/PROJECT, as Sentry shows under Client Keys"


def in_force(variable: str, configured: str | Callable[[], str] = "") -> str:
    """Return the DSN of this variable, else of $SENTRY_DSN, else the configured one, which is read only then.

    A variable that is set but empty means no DSN.
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
        raise ValueError(f"the DSN is not a URL{_FORM}") from None
    return parts
