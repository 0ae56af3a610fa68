"""One JSON document by POST, for those without Sentry: through the same spool, with the same promises."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from servermonitoring.delivery.entries import Delivery, Tally
from servermonitoring.delivery.outbox import Courier
from servermonitoring.delivery.spool import Spool
from servermonitoring.scrubbing import remember
from servermonitoring.sentry.envelope import scrubbed
from servermonitoring.values import size_in_words

if TYPE_CHECKING:
    from servermonitoring.delivery.connection import Line
    from servermonitoring.delivery.responses import Answer

_LARGEST = 1_000_000  # bytes; what is parsed takes up to fifty times as many


class WebhookRecipient:
    """How a document is put on the wire."""

    name = "the webhook"  # its URL may be a secret

    def __init__(self, url: str, ca_certs: str | None = None) -> None:
        self._url, self._ca_certs = url, ca_certs

    def line(self) -> "Line":
        from servermonitoring.delivery.connection import Address, Line

        return Line(Address(self._url, self._ca_certs))

    def prepare(self, content: bytes, delivery: str) -> tuple[bytes, dict[str, str]]:
        """With a header by which the receiver knows a document that came a second time."""
        if len(content) > _LARGEST:
            raise ValueError(f"it is larger than {size_in_words(_LARGEST)}, as no alert is")
        json.loads(content)
        headers = {"Content-Type": "application/json", "User-Agent": "servermonitoring", "X-Delivery": delivery}
        return content, headers

    def has_taken(self, content: bytes, answer: "Answer") -> bool:  # noqa: ARG002 - as of Sentry
        """Receivers answer as they like: the status is all there is."""
        return True


class Webhook:
    """Made from a URL; raises ValueError for a wrong one, in words that do not show it."""

    def __init__(self, url: str, directory: Path, *, ca_certs: str | None = None) -> None:
        if not _is_url(url):
            raise ValueError("the webhook is no URL such as https://HOST/PATH")
        remember(url)
        self.spool = Spool(directory, WebhookRecipient(url, ca_certs))
        self.courier = Courier(self.spool)

    def post(self, document: dict[str, Any], key: str = "") -> Delivery | None:
        """Put a document into the spool; gives what is in it now, or None if it cannot be made.

        Those of one key arrive in the order in which they were posted.
        """
        delivery = None
        try:
            delivery = self.spool.put(json.dumps(scrubbed(document)).encode(), key)
        except (TypeError, ValueError, RecursionError) as error:
            self.spool.note(f"a document for the webhook could not be made: {error}", dropped=1)
        self.courier.wake()
        return delivery

    def start(self) -> None:
        """Deliver what waits in the background from now on."""
        self.courier.start()

    def finish(self, budget: float) -> Tally:
        """Deliver what waits, and end; takes so many seconds at most."""
        return self.courier.finish(budget)

    def drain(self, budget: float) -> Tally:
        """Deliver what waits; takes so many seconds at most."""
        return self.spool.drain(budget)

    def tally(self) -> Tally:
        return self.spool.tally()


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
