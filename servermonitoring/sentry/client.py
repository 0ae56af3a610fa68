"""Sentry, for suite and watchdog alike: events through a spool on the disk, check-ins directly.

Nothing here raises into the caller, and nothing waits for the network but `check_in`, `drain` and `finish`, each
for the time it is given.
"""

import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servermonitoring import threads
from servermonitoring.delivery.entries import Delivery, Tally
from servermonitoring.delivery.outbox import Courier
from servermonitoring.delivery.responses import Answer, Fate, UnansweredError, UnreachableError
from servermonitoring.delivery.spool import Spool
from servermonitoring.scrubbing import scrub
from servermonitoring.sentry.dsn import Dsn
from servermonitoring.sentry.envelope import Attachment, Origin, event_id, of_check_in, sent_now

if TYPE_CHECKING:
    from servermonitoring.delivery.connection import Line

_CLIENT = "servermonitoring/0.1"
_GZIP = 31  # of zlib's window: the format of gzip


class SentryRecipient:
    """How an envelope is put on the wire."""

    name = "Sentry"

    def __init__(self, dsn: Dsn, ca_certs: str | None = None) -> None:
        self._url, self._ca_certs = dsn.envelopes, ca_certs
        self._headers = {
            "Content-Type": "application/x-sentry-envelope",
            "Content-Encoding": "gzip",
            "User-Agent": _CLIENT,
            "X-Sentry-Auth": dsn.auth(_CLIENT),
        }

    def line(self) -> "Line":
        from servermonitoring.delivery.connection import Address, Line

        return Line(Address(self._url, self._ca_certs))

    def prepare(self, content: bytes, _delivery: str = "") -> tuple[bytes, dict[str, str]]:
        import zlib

        packer = zlib.compressobj(5, wbits=_GZIP)
        return b"".join([*(packer.compress(each) for each in sent_now(content)), packer.flush()]), self._headers

    def has_taken(self, content: bytes, answer: Answer) -> bool:
        """Sentry names the event that it took; a proxy in between, or a captive portal, does not.

        https://develop.sentry.dev/sdk/data-model/envelopes/#authentication
        """
        document = answer.document()
        return document is not None and _hex(document.get("id")) == _hex(event_id(content))


class Sentry:
    """Made from a DSN (text); raises ValueError for a wrong one, in words that do not show its key.

    Making one and draining do not import sentry_sdk; the first `capture` does.
    """

    def __init__(self, dsn: str, directory: Path, origin: Origin | None = None, *, ca_certs: str | None = None) -> None:
        self.dsn, self.origin = Dsn.parse(dsn), origin or Origin()
        self._recipient = SentryRecipient(self.dsn, ca_certs)
        self.spool = Spool(directory, self._recipient)
        self.courier = Courier(self.spool)
        self._client: Any = None
        self._capturing = threading.Lock()
        self._kept: list[Delivery | None] = []
        self._check_ins: list[threading.Thread] = []
        self._check_in_error = ""

    def capture(self, event: dict[str, Any], attachments: Iterable[Attachment] = ()) -> str | None:
        """Put an event into the spool; gives its id (`event["event_id"]`, or a new one), or None if it cannot be made.

        The same id again is the same event to Sentry: it keeps the first.
        """
        event = {"event_id": uuid.uuid4().hex, **event}
        return str(event["event_id"]) if self.put(event, attachments) else None

    def put(self, event: dict[str, Any], attachments: Iterable[Attachment] = ()) -> Delivery | None:
        """The same; gives what is in the spool now."""
        delivery = None
        try:
            with self._capturing:
                delivery = self._put(event, list(attachments))
        except ImportError:
            self.spool.note("sentry-sdk is not installed: pip install 'servermonitoring[sentry]'", dropped=1)
        except Exception as error:  # noqa: BLE001 - an alert that cannot be made must not end what it is about
            self.spool.note(f"an event could not be made: {error!r}", dropped=1)
        self.courier.wake()
        return delivery

    def _put(self, event: dict[str, Any], attachments: list[Attachment]) -> Delivery | None:
        from servermonitoring.sentry import sdk

        self._kept = []
        self._client = self._client or sdk.client(self.dsn.text, self.origin, self._keep)
        if sdk.capture(self._client, event, attachments) is None:
            self.spool.note("an event could not be made: sentry_sdk does not take it", dropped=1)
        return self._kept[0] if self._kept else None

    def _keep(self, content: bytes, key: str) -> None:
        """What the SDK calls, within its `capture_event`."""
        self._kept.append(self.spool.put(content, key))

    def check_in(
        self, slug: str, status: str, check_in_id: str = "", *,
        monitor_config: dict[str, Any] | None = None, timeout: float = 2.0,
    ) -> str:  # fmt: skip
        """Tell a cron monitor "in_progress", "ok" or "error"; gives the id for the next call of the same run.

        Directly, and once: late it would be wrong. Waits `timeout` seconds at most; with 0 it does not wait, `finish`
        does. Check-ins arrive in the order in which they were made. What went wrong is told by `tally()`.
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
        """Deliver what waits in the background from now on."""
        self.courier.start()

    def finish(self, budget: float) -> Tally:
        """Deliver what waits, await the check-ins under way, and end; takes so many seconds at most."""
        end = time.monotonic() + budget
        self.courier.finish(budget)
        self._await_check_ins(end - time.monotonic())
        return self.tally()

    def drain(self, budget: float) -> Tally:
        """Deliver what waits; takes so many seconds at most."""
        return self._told(self.spool.drain(budget))

    def tally(self) -> Tally:
        return self._told(self.spool.tally())

    def _told(self, tally: Tally) -> Tally:
        """With what only this object knows."""
        return replace(tally, check_in=scrub(self._check_in_error))

    def _await_check_ins(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for thread in [*self._check_ins]:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                self._check_in_error = "the check-in had no answer from Sentry in time"

    def _send_check_in(self, check_in: dict[str, Any], earlier: list[threading.Thread]) -> None:
        for each in earlier:
            each.join()
        line = self._recipient.line()
        told = f"the check-in {check_in['status']!r} did not reach Sentry"
        try:
            body, headers = self._recipient.prepare(of_check_in(check_in))
            answer = line.post(body, headers, 10.0)
            if answer.fate is not Fate.SENT:
                self._check_in_error = f"{told}: it answers {answer.in_words()}"
            elif answer.status == 204 or (answer.body and answer.document() is None):  # noqa: PLR2004 - HTTP's own
                self._check_in_error = f"{told}: it answers {answer.in_words()}, but not as Sentry does"
        except (UnreachableError, UnansweredError, TypeError, ValueError) as error:
            self._check_in_error = f"{told}: {error}"
        finally:
            line.close()


def _hex(identity: object) -> str:
    """An event's id as it is compared: with dashes or without, in letters of any size."""
    return str(identity).replace("-", "").lower()
