"""Webhook channel: POSTs each alert through a spool, as a JSON document of its own or in the form of Slack.

The spool holds the document; the form is made at each attempt, so that what waits or was refused is sent in the form
that is configured now.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from servermonitoring.delivery.outbox import Outbox
from servermonitoring.delivery.spool import Spool, SpoolEntry, Tally
from servermonitoring.delivery.text import WebhookFormat, text_of
from servermonitoring.scrubbing import remember, scrubbed
from servermonitoring.values import size_in_words

if TYPE_CHECKING:
    from servermonitoring.delivery.attempt import DeliveryResponse
    from servermonitoring.delivery.connection import PostConnection

_LARGEST = 1_000_000  # bytes; parsing takes up to fifty times as many


class WebhookDestination:
    """The webhook as a destination of a spool."""

    name = "the webhook"  # its URL may be a secret

    def __init__(self, url: str, ca_certs: str | None = None, form: WebhookFormat = "json") -> None:
        self._url, self._ca_certs, self._form = url, ca_certs, form

    def connection(self) -> "PostConnection":
        from servermonitoring.delivery.connection import PostAddress, PostConnection

        return PostConnection(PostAddress(self._url, self._ca_certs))

    def prepare(self, content: bytes, identity: str) -> tuple[bytes, dict[str, str]]:
        """Add a header by which the receiver recognizes a document that it gets twice."""
        if len(content) > _LARGEST:
            raise ValueError(f"larger than {size_in_words(_LARGEST)}, the maximum for a webhook")
        document = json.loads(content)
        if self._form == "slack":
            content = json.dumps({"text": _slack_text(document)}).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "servermonitoring", "X-Delivery": identity}
        return content, headers

    def is_confirmed(self, content: bytes, response: "DeliveryResponse") -> bool:  # noqa: ARG002 - as of Sentry
        """Return True: receivers respond as they like, so the status is enough."""
        return True


class Webhook:
    """A webhook and its spool. Raises ValueError for a wrong URL, with a message that does not show it."""

    def __init__(self, url: str, directory: Path, *, ca_certs: str | None = None, form: WebhookFormat = "json") -> None:
        if not _is_url(url):
            raise ValueError("the webhook is not a URL: write https://HOST/PATH")
        remember(url)
        self.destination = WebhookDestination(url, ca_certs, form)
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


def _slack_text(document: Any) -> str:
    """Return the text of an incoming webhook of Slack, with its three characters escaped. Raise ValueError.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    if not isinstance(document, dict):
        raise ValueError("not a document of an alert")  # noqa: TRY004 - as for what is not JSON
    text = text_of(document)
    words = f"{text.title}\n{text.body}".strip() or "alert"
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
