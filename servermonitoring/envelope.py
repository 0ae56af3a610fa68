"""Sentry's envelopes, as far as they are read and written here: one JSON header in the first line, then items."""

import json
import os
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from servermonitoring.scrubbing import FILTERED, is_sensitive, scrub

_LONGEST_HEADER = 65_536  # bytes


@dataclass(frozen=True)
class Origin:
    """Where events come from, as Sentry wants to know it."""

    environment: str = "production"
    release: str = ""  # by default $SENTRY_RELEASE, or the version of this
    host: str = field(default_factory=socket.gethostname)

    def release_name(self) -> str:
        """Looked up when something is sent: that takes longer than all the rest of a quiet run."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return self.release or os.environ.get("SENTRY_RELEASE") or f"servermonitoring@{version('servermonitoring')}"
        except PackageNotFoundError:  # run from a directory of its own
            return "servermonitoring"


@dataclass(frozen=True)
class Attachment:
    """A file that goes with an event. What is text is scrubbed."""

    name: str
    content: bytes = field(repr=False)
    content_type: str | None = None  # by default told by the name


def sent_now(content: bytes) -> bytes:
    """The envelope with `sent_at` of this moment: from it the server tells how wrong the clock here is.

    Raises ValueError for what is no envelope.
    """
    first, newline, rest = content.partition(b"\n")
    header = _header(first)
    if not newline:
        raise ValueError("it is not an envelope")
    return json.dumps({**header, "sent_at": now()}).encode() + newline + rest


def event_id(content: bytes) -> Any:
    """The id of the event in an envelope; None if its header names none. Raises ValueError as `sent_now` does."""
    return _header(content.partition(b"\n")[0]).get("event_id")


def _header(line: bytes) -> dict[str, Any]:
    header = json.loads(line) if len(line) <= _LONGEST_HEADER else None
    if not isinstance(header, dict):
        raise ValueError("it is not an envelope")  # noqa: TRY004 - as for what is no JSON
    return header


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
