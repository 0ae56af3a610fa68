"""What an answer to a delivery means: arrived, later, never, or not at this address; and how long to pause.

Light: loaded by every run with alerts, though few have one to deliver.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from servermonitoring.scrubbing import scrub

_LATER = {408, 425, 429}  # and every 5xx
_WRONG_ADDRESS = {401, 403, 404, 407}  # says nothing about what was sent: the next one would fare the same
_UNNAMED_PAUSE = 60.0  # seconds after a 429 that names none, as Sentry's own SDKs have it
_LONGEST_PAUSE = 86400.0  # seconds
_FIRST_WORDS = 200  # characters
_OF_EVENTS = {"", "error", "default"}  # Sentry's categories of what is sent here; "" is all


class UnreachableError(Exception):
    """Nobody is there, or not who should be; in words."""


class UnansweredError(Exception):
    """Somebody is there, but gave no whole answer in time; in words."""


class Fate(Enum):
    """What becomes of what was sent."""

    SENT = "sent"
    LATER = "later"  # kept for another try
    LIMITED = "limited"  # kept, as all others, until the pause is over
    REFUSED = "refused"  # this one for good
    CLOSED = "closed"  # kept, as all others: the address or the key is wrong


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; names of headers in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    """Its beginning."""

    @property
    def fate(self) -> Fate:
        status = self.status
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
            return Fate.SENT
        if status == 429:  # noqa: PLR2004
            return Fate.LIMITED
        if status in _LATER or status >= 500:  # noqa: PLR2004
            return Fate.LATER
        # A redirect is not followed: what is sent would go to who knows whom.
        return Fate.CLOSED if status in _WRONG_ADDRESS or status < 400 else Fate.REFUSED  # noqa: PLR2004

    def in_words(self) -> str:
        """As in: 429 Too Many Requests."""
        from http import HTTPStatus

        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    def first_words(self) -> str:
        """Of its body, as in ": no_text": in one line, without secrets; empty if there are none."""
        text = "".join(each if each.isprintable() else " " for each in self.body.decode(errors="replace"))
        words = " ".join(scrub(text).split())[:_FIRST_WORDS]
        return f": {words}" if words else ""

    def document(self) -> dict[str, Any] | None:
        """Its body, if that is one JSON object."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    def pause(self) -> float:
        """Seconds for which nothing more is wanted; 0 for go on."""
        limits = self.headers.get("x-sentry-rate-limits", "")
        asked = [_rate_limit(each) for each in limits.split(",")]
        if self.status in {429, 503} and not limits:
            asked.append(_retry_after(self.headers.get("retry-after", "")))
        wanted = max(asked)
        if not wanted and self.status == 429:  # noqa: PLR2004
            wanted = _UNNAMED_PAUSE
        return min(wanted, _LONGEST_PAUSE)


def _rate_limit(text: str) -> float:
    """Of "60:error;default:organization", as in X-Sentry-Rate-Limits: 60; 0 if it is about something else."""
    seconds, _, rest = text.strip().partition(":")
    categories = set(rest.partition(":")[0].split(";"))
    return _seconds(seconds) if categories & _OF_EVENTS else 0.0


def _retry_after(text: str) -> float:
    """Of "120", or of a date."""
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return _seconds(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 < number < float("inf") else 0.0
