"""Sentry client of suite and watchdog: sends events through a spool on the disk, check-ins directly.

Nothing here raises into the caller, and only `check_in` and `finish` wait for the network, each for the time that it
is given.
"""

import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring import threads
from servermonitoring.delivery.entries import SpoolEntry, Tally
from servermonitoring.delivery.outbox import Outbox
from servermonitoring.delivery.responses import DeliveryOutcome, DeliveryResponse, NoResponseError, UnreachableError
from servermonitoring.delivery.spool import Spool
from servermonitoring.scrubbing import scrub
from servermonitoring.sentry.dsn import Dsn
from servermonitoring.sentry.envelope import EnvelopeAttachment, Origin, event_id, of_check_in, sent_now

if TYPE_CHECKING:
    from servermonitoring.delivery.connection import PostConnection

_CLIENT = "servermonitoring/0.1"
_GZIP = 31  # zlib's window bits for the gzip format


class SentryDestination:
    """Sentry as a destination of a spool: envelopes, packed."""

    name = "Sentry"

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
        return b"".join([*(packer.compress(each) for each in sent_now(content)), packer.flush()]), self._headers

    def is_confirmed(self, content: bytes, response: DeliveryResponse) -> bool:
        """Return whether the response names the event, as that of a proxy or a captive portal does not.

        https://develop.sentry.dev/sdk/data-model/envelopes/#authentication
        """
        document = response.document()
        return document is not None and _hex(document.get("id")) == _hex(event_id(content))


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
        from servermonitoring.sentry import sdk

        self._kept = []
        self._client = self._client or sdk.client(self.dsn.text, self.origin, self._keep)
        if sdk.capture(self._client, event, attachments) is None:
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
        end = time.monotonic() + budget
        self.outbox.finish(budget)
        self._await_check_ins(end - time.monotonic())
        return self.tally()

    def tally(self) -> Tally:
        """Return the delivery counts and the error of the last check-in."""
        return replace(self.spool.tally(), check_in=scrub(self._check_in_error))

    def _await_check_ins(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for thread in [*self._check_ins]:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                self._check_in_error = "no response from Sentry to the check-in in time"

    def _send_check_in(self, check_in: dict[str, Any], earlier: list[threading.Thread]) -> None:
        for each in earlier:
            each.join()
        connection = self._destination.connection()
        failed = f"check-in {check_in['status']!r} did not reach Sentry"
        try:
            body, headers = self._destination.prepare(of_check_in(check_in))
            response = connection.post(body, headers, 10.0)
            if response.outcome is not DeliveryOutcome.SENT:
                self._check_in_error = f"{failed}: it responds with {response.in_words()}"
            elif response.status == 204 or (response.body and response.document() is None):  # noqa: PLR2004 - HTTP's own
                self._check_in_error = f"{failed}: the response {response.in_words()} is not from Sentry"
        except (UnreachableError, NoResponseError, TypeError, ValueError) as error:
            self._check_in_error = f"{failed}: {error}"
        finally:
            connection.close()


def _hex(identity: object) -> str:
    """Return an event's id for comparison: without dashes, in lower case."""
    return str(identity).replace("-", "").lower()
