"""Webhook channel: POSTs one JSON document per alert through a spool, for those without Sentry."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from servermonitoring.delivery.outbox import Outbox
from servermonitoring.delivery.spool import Spool, SpoolEntry, Tally
from servermonitoring.scrubbing import remember, scrubbed
from servermonitoring.values import size_in_words

if TYPE_CHECKING:
    from servermonitoring.delivery.attempt import DeliveryResponse
    from servermonitoring.delivery.connection import PostConnection

_LARGEST = 1_000_000  # bytes; parsing takes up to fifty times as many


class WebhookDestination:
    """The webhook as a destination of a spool."""

    name = "the webhook"  # its URL may be a secret

    def __init__(self, url: str, ca_certs: str | None = None) -> None:
        self._url, self._ca_certs = url, ca_certs

    def connection(self) -> "PostConnection":
        from servermonitoring.delivery.connection import PostAddress, PostConnection

        return PostConnection(PostAddress(self._url, self._ca_certs))

    def prepare(self, content: bytes, identity: str) -> tuple[bytes, dict[str, str]]:
        """Add a header by which the receiver recognizes a document that it gets twice."""
        if len(content) > _LARGEST:
            raise ValueError(f"larger than {size_in_words(_LARGEST)}, the maximum for a webhook")
        json.loads(content)
        headers = {"Content-Type": "application/json", "User-Agent": "servermonitoring", "X-Delivery": identity}
        return content, headers

    def is_confirmed(self, content: bytes, response: "DeliveryResponse") -> bool:  # noqa: ARG002 - as of Sentry
        """Return True: receivers respond as they like, so the status is enough."""
        return True


class Webhook:
    """A webhook and its spool. Raises ValueError for a wrong URL, with a message that does not show it."""

    def __init__(self, url: str, directory: Path, *, ca_certs: str | None = None) -> None:
        if not is_url(url):
            raise ValueError("the webhook is not a URL: write https://HOST/PATH")
        remember(url)
        self.destination = WebhookDestination(url, ca_certs)
        self.spool = Spool(directory)
        self.outbox = Outbox(self.spool, self.destination)

    def post(self, document: dict[str, Any], key: str = "") -> SpoolEntry | None:
        """Put a document into the spool; return its entry, or None if it cannot be created.

        Those of one key arrive in the order in which they were posted.
        """
        entry = None
        try:
            entry = self.spool.put(json.dumps(scrubbed(document)).encode(), key)
        except (TypeError, ValueError, RecursionError) as error:
            self.spool.note(f"a document for the webhook could not be created: {error}", dropped=1)
        self.outbox.wake()
        return entry

    def start(self) -> None:
        """Deliver in the background from now on."""
        self.outbox.start()

    def finish(self, budget: float) -> Tally:
        """Deliver what waits, in `budget` seconds at most, and stop."""
        return self.outbox.finish(budget)

    def tally(self) -> Tally:
        """Return the delivery counts."""
        return self.spool.tally()


def is_url(text: str) -> bool:
    """Return whether a text is an address that a request can be sent to."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
