"""Sentry's envelopes, as far as they are read and written here: one JSON header in the first line, then items."""

import json
import os
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from servermonitoring import __version__
from servermonitoring.scrubbing import FILTERED, is_sensitive, scrub

_LONGEST_HEADER = 65_536  # bytes


@dataclass(frozen=True)
class Origin:
    """Where events come from, as Sentry wants to know it."""

    environment: str = "production"
    release: str = ""  # by default $SENTRY_RELEASE, or the version of this
    host: str = field(default_factory=socket.gethostname)

    def release_name(self) -> str:
        return self.release or os.environ.get("SENTRY_RELEASE") or f"servermonitoring@{__version__}"


@dataclass(frozen=True)
class Attachment:
    """A file that goes with an event. What is text is scrubbed."""

    name: str
    content: bytes = field(repr=False)
    content_type: str | None = None  # by default told by the name


def sent_now(content: bytes) -> tuple[bytes, memoryview]:
    """The envelope with `sent_at` of this moment: from it the server tells how wrong the clock here is.

    In two pieces, its header and the rest: that may be large, and is not copied. Raises ValueError for what is no
    envelope.
    """
    header, end = _header(content)
    return json.dumps({**header, "sent_at": now()}).encode(), memoryview(content)[end:]


def event_id(content: bytes) -> Any:
    """The id of the event in an envelope; None if its header names none. Raises ValueError as `sent_now` does."""
    return _header(content)[0].get("event_id")


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """With the place at which it ends."""
    end = content.find(b"\n", 0, _LONGEST_HEADER)
    header = json.loads(content[:end]) if end >= 0 else None
    if not isinstance(header, dict):
        raise ValueError("it is not an envelope")  # noqa: TRY004 - as for what is no JSON
    return header, end


def of_check_in(check_in: dict[str, Any]) -> bytes:
    """An envelope with one check-in."""
    lines = ({"sent_at": now()}, {"type": "check_in"}, scrubbed(check_in))
    return "\n".join(json.dumps(each) for each in lines).encode() + b"\n"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def scrubbed(value: Any, key: str = "") -> Any:
    """The value with every string in it scrubbed, and what stands under a sensitive key filtered."""
    if isinstance(value, dict):
        return {scrub(str(name)): scrubbed(each, str(name)) for name, each in value.items()}
    if key and is_sensitive(key) and value is not None and not isinstance(value, bool):
        return FILTERED
    if isinstance(value, list | tuple):
        return [scrubbed(each) for each in value]
    return scrub(value) if isinstance(value, str) else value
