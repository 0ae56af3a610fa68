"""Sentry's envelopes: a JSON header in the first line, then items.

https://develop.sentry.dev/sdk/data-model/envelopes/
"""

import json
import os
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from servermonitoring import __version__
from servermonitoring.scrubbing import scrubbed

_LONGEST_HEADER = 65_536  # bytes


@dataclass(frozen=True)
class Origin:
    """Where events come from: environment, release and host."""

    environment: str = "production"
    release: str = ""  # default: $SENTRY_RELEASE, else the version of this package
    host: str = field(default_factory=socket.gethostname)

    def release_name(self) -> str:
        """Return the release, with its default."""
        return self.release or os.environ.get("SENTRY_RELEASE") or f"servermonitoring@{__version__}"


@dataclass(frozen=True)
class EnvelopeAttachment:
    """A file sent with an event. Text is scrubbed."""

    name: str
    content: bytes = field(repr=False)
    content_type: str | None = None  # default: guessed from the name


def sent_now(content: bytes) -> tuple[bytes, memoryview]:
    """Return the envelope with `sent_at` of this moment, from which the server computes this clock's error.

    In two parts, the header and the rest, which may be large and is not copied. Raise ValueError if it is not an
    envelope.
    """
    header, end = _header(content)
    return json.dumps({**header, "sent_at": now()}).encode(), memoryview(content)[end:]


def event_id(content: bytes) -> Any:
    """Return the id of the event in an envelope; None if its header has none. Raise ValueError as `sent_now` does."""
    return _header(content)[0].get("event_id")


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """Return the header and the position of its end."""
    end = content.find(b"\n", 0, _LONGEST_HEADER)
    header = json.loads(content[:end]) if end >= 0 else None
    if not isinstance(header, dict):
        raise ValueError("not an envelope")  # noqa: TRY004 - as for what is not JSON
    return header, end


def of_check_in(check_in: dict[str, Any]) -> bytes:
    """Return an envelope with one check-in."""
    lines = ({"sent_at": now()}, {"type": "check_in"}, scrubbed(check_in))
    return "\n".join(json.dumps(each) for each in lines).encode() + b"\n"


def now() -> str:
    """Return the current time as Sentry writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
