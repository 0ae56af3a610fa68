"""sentry_sdk client that writes envelopes into the spool.

Loaded only when there is something to send: importing it takes 78 ms. Nothing of it is global, so it does not mix with
the SDK of the checked application in the same process.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from sentry_sdk import Client
from sentry_sdk.attachments import Attachment as SdkAttachment
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.transport import Transport

from servermonitoring.delivery.spool import LARGEST
from servermonitoring.scrubbing import scrub, scrubbed
from servermonitoring.values import size_in_words

File = tuple[str, bytes, str | None]  # name, content, media type
Put = Callable[[bytes, str], None]  # the envelope, and the key of those that must arrive one after another

_LONGEST_VALUE = 8192  # characters; without a limit a message of 5 MB makes an envelope of 5 MB, which Sentry refuses


class SpoolTransport(Transport):
    """Scrubs each envelope once more and puts it into the spool."""

    def __init__(self, dsn: str, put: Put) -> None:
        super().__init__({"dsn": dsn})
        self._put = put

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event() or {}
        clean = Envelope(headers=envelope.headers, items=[_clean(item) for item in envelope.items])
        content = clean.serialize()
        if len(content) > LARGEST:
            content = _without_attachments(clean, event).serialize()
        self._put(content, json.dumps(event.get("fingerprint") or event.get("event_id", "")))


def _without_attachments(envelope: Envelope, event: Any) -> Envelope:
    """Return the event alone, with a note that says so."""
    sizes = sum(len(item.get_bytes()) for item in envelope.items if item.type == "attachment")
    extra = {**event.get("extra", {}), "attachments": f"left out: {size_in_words(sizes)} is too large"}
    item = _clean(Item(PayloadRef(json={**event, "extra": extra}), type="event"))
    return Envelope(headers=envelope.headers, items=[item])


def client(dsn: str, put: Put, environment: str, release: str, host: str) -> Client:
    """Return a client without integrations: no added headers in requests, no local variables, no source lines."""
    return Client(
        dsn=dsn,
        transport=SpoolTransport(dsn, put),
        before_send=lambda event, _hint: scrubbed(event),
        environment=environment,
        release=release,
        server_name=host,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        include_source_context=False,
        max_value_length=_LONGEST_VALUE,
        max_breadcrumbs=0,
        spotlight=False,
    )


def capture(client: Client, event: dict[str, Any], files: Iterable[File]) -> str | None:
    """Scrub an event and capture it. It is scrubbed before it is cut, so that no half secret is left over."""
    attachments = [SdkAttachment(content, name, content_type=kind) for name, content, kind in files]
    return client.capture_event(scrubbed(event), hint={"attachments": attachments})


def _clean(item: Item) -> Item:
    if item.type == "event":
        payload = PayloadRef(json=scrubbed(item.payload.json))
    elif item.type == "attachment" and _is_text(item.get_bytes()):
        payload = PayloadRef(bytes=scrub(item.get_bytes().decode()).encode())
    else:
        return item
    return Item(payload, headers={name: value for name, value in item.headers.items() if name != "length"})


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False
