"""Sentry client of suite and watchdog: sends events through a spool on the disk, check-ins directly.

Both are envelopes: a JSON header in the first line, then items
(https://develop.sentry.dev/sdk/data-model/envelopes/).
Nothing here raises into the caller, and only `check_in` and `finish` wait for the network, each for the time that it
is given.
"""

import json
import os
import socket
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring import __version__, clock, threads
from servermonitoring.delivery.attempt import (
    MOST_CONNECTIONS,
    DeliveryOutcome,
    DeliveryResponse,
    NoResponseError,
    UnreachableError,
)
from servermonitoring.delivery.dsn import Dsn
from servermonitoring.delivery.outbox import Outbox
from servermonitoring.delivery.spool import Spool, SpoolEntry, Tally
from servermonitoring.scrubbing import scrub, scrubbed

if TYPE_CHECKING:
    from servermonitoring.delivery.connection import PostConnection

_CLIENT = "servermonitoring/0.1"
_GZIP = 31  # zlib's window bits for the gzip format
_LONGEST_HEADER = 65_536  # bytes of an envelope


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


class Sentry:
    """A Sentry project and its spool. Raises ValueError for a wrong DSN, with a message that does not show its key.

    The first `capture` imports sentry_sdk; nothing else does.
    """

    def __init__(self, dsn: str, directory: Path, origin: Origin | None = None, *, ca_certs: str | None = None) -> None:
        self.dsn, self.origin = Dsn.parse(dsn), origin or Origin()
        self._destination = SentryDestination(self.dsn, ca_certs)
        self.spool = Spool(directory)
        self.outbox = Outbox(self.spool, self._destination)
        self._client: Any = None
        self._capturing = threading.Lock()
        self._kept: list[SpoolEntry | None] = []
        self._check_ins: list[threading.Thread] = []
        self._check_in_error = ""

    def capture(self, event: dict[str, Any], attachments: Iterable[EnvelopeAttachment] = ()) -> str | None:
        """Put an event into the spool; return its id (that of the event or a new one), or None if it cannot be created.

        Of two events with one id Sentry keeps the first.
        """
        event = {"event_id": uuid.uuid4().hex, **event}
        return str(event["event_id"]) if self.put(event, attachments) else None

    def put(self, event: dict[str, Any], attachments: Iterable[EnvelopeAttachment] = ()) -> SpoolEntry | None:
        """Put an event into the spool; return its entry, or None if it cannot be created."""
        entry = None
        try:
            with self._capturing:
                entry = self._put(event, list(attachments))
        except ImportError:
            self.spool.note("sentry-sdk is not installed: pip install 'servermonitoring[sentry]'", dropped=1)
        except Exception as error:  # noqa: BLE001 - a failing alert must not end its caller
            self.spool.note(f"an event could not be created: {error!r}", dropped=1)
        self.outbox.wake()
        return entry

    def _put(self, event: dict[str, Any], attachments: list[EnvelopeAttachment]) -> SpoolEntry | None:
        from servermonitoring.delivery import sdk

        self._kept = []
        origin, files = self.origin, [(each.name, each.content, each.content_type) for each in attachments]
        if self._client is None:
            release, host = origin.release_name(), origin.host
            self._client = sdk.client(self.dsn.text, self._keep, origin.environment, release, host)
        if sdk.capture(self._client, event, files) is None:
            self.spool.note("an event could not be created: sentry_sdk drops it", dropped=1)
        return self._kept[0] if self._kept else None

    def _keep(self, content: bytes, key: str) -> None:
        """Store an envelope; the SDK calls it within `capture_event`."""
        self._kept.append(self.spool.put(content, key))

    def check_in(
        self, slug: str, status: str, check_in_id: str = "", *,
        monitor_config: dict[str, Any] | None = None, timeout: float = 2.0,
    ) -> str:  # fmt: skip
        """Send "in_progress", "ok" or "error" to a cron monitor; return the id for the next call of the same run.

        It is sent directly and once: a late check-in would be wrong. Wait `timeout` seconds at most; with 0 `finish`
        waits instead. Check-ins arrive in the order of the calls. `tally()` holds the error.
        """
        check_in = {
            "check_in_id": check_in_id or uuid.uuid4().hex,
            "monitor_slug": slug,
            "status": status,
            "environment": self.origin.environment,
            "release": self.origin.release_name(),
            **({"monitor_config": monitor_config} if monitor_config else {}),
        }
        if thread := threads.start(self._send_check_in, check_in, [*self._check_ins], name="check-in"):
            self._check_ins.append(thread)
        else:
            self._send_check_in(check_in, [])
        if timeout:
            self._await_check_ins(timeout)
        return str(check_in["check_in_id"])

    def start(self) -> None:
        """Deliver in the background from now on."""
        self.outbox.start()

    def finish(self, budget: float) -> Tally:
        """Deliver what waits and await the check-ins in progress, in `budget` seconds at most, and stop."""
        end = clock.monotonic() + budget
        self.outbox.finish(budget)
        self._await_check_ins(end - clock.monotonic())
        return self.tally()

    def tally(self) -> Tally:
        """Return the delivery counts and the error of the last check-in."""
        return replace(self.spool.tally(), check_in=scrub(self._check_in_error))

    def _await_check_ins(self, seconds: float) -> None:
        end = clock.monotonic() + seconds
        for thread in [*self._check_ins]:
            thread.join(max(0.0, end - clock.monotonic()))
            if thread.is_alive():
                self._check_in_error = "no response from Sentry to the check-in in time"

    def _send_check_in(self, check_in: dict[str, Any], earlier: list[threading.Thread]) -> None:
        for each in earlier:
            each.join()
        connection = self._destination.connection()
        failed = f"check-in {check_in['status']!r} did not reach Sentry"
        try:
            body, headers = self._destination.prepare(_envelope_of(check_in))
            response = connection.post(body, headers, 10.0)
            if response.outcome is not DeliveryOutcome.SENT:
                self._check_in_error = f"{failed}: it responds with {response.in_words()}"
            elif response.status == 204 or (response.body and response.document() is None):  # noqa: PLR2004 - HTTP's own
                self._check_in_error = f"{failed}: the response {response.in_words()} is not from Sentry"
        except (UnreachableError, NoResponseError, TypeError, ValueError) as error:
            self._check_in_error = f"{failed}: {error}"
        finally:
            connection.close()


class SentryDestination:
    """Sentry as a destination of a spool: envelopes, packed."""

    name = "Sentry"
    most_connections = MOST_CONNECTIONS

    def __init__(self, dsn: Dsn, ca_certs: str | None = None) -> None:
        self._url, self._ca_certs = dsn.envelopes, ca_certs
        self._headers = {
            "Content-Type": "application/x-sentry-envelope",
            "Content-Encoding": "gzip",
            "User-Agent": _CLIENT,
            "X-Sentry-Auth": dsn.auth(_CLIENT),
        }

    def connection(self) -> "PostConnection":
        from servermonitoring.delivery.connection import PostAddress, PostConnection

        return PostConnection(PostAddress(self._url, self._ca_certs))

    def prepare(self, content: bytes, _identity: str = "") -> tuple[bytes, dict[str, str]]:
        import zlib

        packer = zlib.compressobj(5, wbits=_GZIP)
        return b"".join([*(packer.compress(each) for each in _sent_now(content)), packer.flush()]), self._headers

    def is_confirmed(self, content: bytes, response: DeliveryResponse) -> bool:
        """Return whether the response names the event, as that of a proxy or a captive portal does not.

        https://develop.sentry.dev/sdk/data-model/envelopes/#authentication
        """
        document = response.document()
        return document is not None and _hex(document.get("id")) == _hex(_event_id(content))


def _hex(identity: object) -> str:
    """Return an event's id for comparison: without dashes, in lower case."""
    return str(identity).replace("-", "").lower()


def _sent_now(content: bytes) -> tuple[bytes, memoryview]:
    """Return the envelope with `sent_at` of this moment, from which the server computes this clock's error.

    In two parts, the header and the rest, which may be large and is not copied. Raise ValueError if it is not an
    envelope.
    """
    header, end = _header(content)
    return json.dumps({**header, "sent_at": timestamp()}).encode(), memoryview(content)[end:]


def _event_id(content: bytes) -> Any:
    """Return the id of the event in an envelope; None if its header has none. Raise ValueError as `_sent_now` does."""
    return _header(content)[0].get("event_id")


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """Return the header and the position of its end."""
    end = content.find(b"\n", 0, _LONGEST_HEADER)
    header = json.loads(content[:end]) if end >= 0 else None
    if not isinstance(header, dict):
        raise ValueError("not an envelope")  # noqa: TRY004 - as for what is not JSON
    return header, end


def _envelope_of(check_in: dict[str, Any]) -> bytes:
    """Return an envelope with one check-in."""
    lines = ({"sent_at": timestamp()}, {"type": "check_in"}, scrubbed(check_in))
    return "\n".join(json.dumps(each) for each in lines).encode() + b"\n"


def timestamp() -> str:
    """Return the current time as Sentry writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
