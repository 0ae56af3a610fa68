"""Channel of `[alerts] notify`: sends each alert as a text by apprise, through a spool of its own for each URL."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring.delivery.outbox import DocumentService
from servermonitoring.delivery.spool import DELIVERED
from servermonitoring.delivery.text import text_of
from servermonitoring.files import read_regular, write_whole
from servermonitoring.values import size_in_words

if TYPE_CHECKING:
    from servermonitoring.delivery.attempt import DeliveryResponse
    from servermonitoring.delivery.notify_process import NotifyConnection
    from servermonitoring.delivery.notify_url import NotifyUrl

_MOST_PARTIAL = 40  # alerts, those of the last attempts; each of 1,000 recipients at most
_LARGEST = 1_000_000  # bytes; parsing takes up to fifty times as many


class NotifyDestination:
    """A service of apprise as a destination of a spool."""

    most_connections = 1  # each is a process

    def __init__(self, url: "NotifyUrl", name: str, directory: Path) -> None:
        self.name, self._url = name, url
        self._partial = PartialDeliveries(directory / DELIVERED)

    def connection(self) -> "NotifyConnection":
        from servermonitoring.delivery.notify_process import NotifyConnection

        return NotifyConnection(self._url.reveal(), self._partial.keep)

    def prepare(self, content: bytes, identity: str) -> tuple[bytes, dict[str, str]]:
        """Return the message as `notifier` takes it. Raise ValueError as `message_of` does."""
        message = json.loads(message_of(content))
        return json.dumps(message | {"id": identity, "delivered": self._partial.of(identity)}).encode(), {}

    def is_confirmed(self, content: bytes, response: "DeliveryResponse") -> bool:  # noqa: ARG002 - as of Sentry
        """Return True: apprise has looked at the response."""
        return True


class PartialDeliveries:
    """Which recipients of a URL have an alert that others of it still wait for: a file of the spool, of digests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, list[str]] = {}

    def of(self, identity: str) -> Sequence[str]:
        """Return the digests of who has the alert of this identity."""
        return self._kept.get(identity) or self._read().get(identity, [])

    def keep(self, identity: str, digests: list[str]) -> None:
        """Store them; without room on the disk they are known to this process only."""
        others = self._read() | self._kept
        others.pop(identity, None)
        self._kept = dict([*others.items(), (identity, digests)][-_MOST_PARTIAL:])
        with contextlib.suppress(OSError):
            write_whole(self._path, json.dumps(self._kept), durable=False)

    def _read(self) -> dict[str, list[str]]:
        try:
            document = json.loads(read_regular(self._path, _LARGEST))
            return {str(identity): [*map(str, digests)] for identity, digests in document.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}


def message_of(content: bytes) -> bytes:
    """Return the document of an alert as a message for `notifier`. Raise ValueError for anything else."""
    if len(content) > _LARGEST:
        raise ValueError(f"larger than {size_in_words(_LARGEST)}, the maximum for an alert")
    document = json.loads(content)
    if not isinstance(document, dict):
        raise ValueError("not a document of an alert")  # noqa: TRY004 - as for what is not JSON
    text = text_of(document)
    message = {"title": text.title, "body": text.body or text.title or "alert", "kind": _kind(document)}
    return json.dumps(message).encode()


def _kind(document: Mapping[str, Any]) -> str:
    """Return apprise's kind of a message, by which services choose a colour."""
    if document.get("action") in {"recovered", "recovery"}:
        return "success"
    level = document.get("level")
    return str(level) if level in {"warning", "info"} else "failure"


class Notify(DocumentService):
    """One URL and its spool; `name` is the service's, for people."""

    def __init__(self, url: "NotifyUrl", name: str, directory: Path) -> None:
        super().__init__(NotifyDestination(url, name, directory), directory)
