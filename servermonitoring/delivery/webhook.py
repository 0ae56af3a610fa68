"""Webhook channel: POSTs each alert through a spool, as a JSON document of its own or in the form of Slack.

The spool holds the document; the form is made at each attempt, so that what waits or was refused is sent in the form
that is configured now.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from servermonitoring.delivery.attempt import MOST_CONNECTIONS
from servermonitoring.delivery.outbox import DocumentService
from servermonitoring.delivery.text import WebhookFormat, text_of
from servermonitoring.scrubbing import remember
from servermonitoring.values import size_in_words

if TYPE_CHECKING:
    from servermonitoring.delivery.attempt import DeliveryResponse
    from servermonitoring.delivery.connection import PostConnection

_LARGEST = 1_000_000  # bytes; parsing takes up to fifty times as many


class WebhookDestination:
    """The webhook as a destination of a spool."""

    name = "the webhook"  # its URL may be a secret
    most_connections = MOST_CONNECTIONS

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


class Webhook(DocumentService):
    """A webhook and its spool. Raises ValueError for a wrong URL, with a message that does not show it."""

    def __init__(self, url: str, directory: Path, *, ca_certs: str | None = None, form: WebhookFormat = "json") -> None:
        if not is_url(url):
            raise ValueError("the webhook is not a URL: write https://HOST/PATH")
        remember(url)
        super().__init__(WebhookDestination(url, ca_certs, form), directory)


def _slack_text(document: Any) -> str:
    """Return the text of an incoming webhook of Slack, with its three characters escaped. Raise ValueError.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    if not isinstance(document, dict):
        raise ValueError("not a document of an alert")  # noqa: TRY004 - as for what is not JSON
    text = text_of(document)
    words = f"{text.title}\n{text.body}".strip() or "alert"
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def is_url(text: str) -> bool:
    """Return whether a text is an address that a request can be sent to."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
