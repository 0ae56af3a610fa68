"""Pings for the service of `[heartbeat]`: a run began, succeeded or failed; the service alerts when none arrives.

Three forms of request, all from the address that the service shows:

- healthchecks.io, also on a server of one's own: POST to URL/start, URL and URL/fail, with a report as the body and the
  run's id as `rid` (https://healthchecks.io/docs/http_api/);
- Uptime Kuma's push monitors: GET URL?status=up|down&msg=…&ping=… (server/routers/api-router.js);
- plain: GET URL after a success, as every service of this kind understands it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode, urlsplit

from servermonitoring import clock
from servermonitoring.delivery.attempt import DeliveryOutcome, DeliveryResponse, NoResponseError, UnreachableError
from servermonitoring.delivery.connection import PostAddress, PostConnection
from servermonitoring.delivery.webhook import is_url
from servermonitoring.scrubbing import remember, scrub

_TIMEOUT = 10.0  # seconds for each step
_PAUSE = 0.5  # seconds before the second try; then twice as long each time
_TRIES = 4
_LONGEST_REPORT = 10_000  # characters
_LONGEST_LINE = 250  # characters of a report in an address
_LONGEST_CONFIRMATION = 100  # bytes: "OK", "Created"


class PingSignal(StrEnum):
    """What a ping says of a run."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"


class PingFormat(StrEnum):
    """How a service wants it said."""

    HEALTHCHECKS = "healthchecks.io"
    KUMA = "kuma"
    PLAIN = "plain"

    @classmethod
    def of_url(cls, url: str) -> "PingFormat":
        """Return the format that an address has by its form; PLAIN if it is none that is known."""
        parts = urlsplit(url)
        if "/api/push/" in parts.path:
            return cls.KUMA
        if parts.hostname in ("hc-ping.com", "hchk.io") or parts.path.startswith("/ping/"):
            return cls.HEALTHCHECKS
        return cls.PLAIN


@dataclass(frozen=True)
class Ping:
    """One message about one run."""

    signal: PingSignal
    report: str = ""
    """For people; its first line says all that matters."""
    run: str = ""
    """A UUID that start and end of a run have in common."""
    duration: float = 0.0
    """Seconds since the start of the run."""


@dataclass(frozen=True)
class PingService:
    """The service and its address, which is a secret. Raise ValueError for what is no URL, without showing it."""

    url: str = field(repr=False)
    format: PingFormat

    def __post_init__(self) -> None:
        if not is_url(self.url):
            raise ValueError("[heartbeat] has a value that is not a URL: write https://HOST/PATH")
        remember(self.url)

    def expects(self, signal: PingSignal) -> bool:
        """Return whether the service understands this signal."""
        if self.format is PingFormat.HEALTHCHECKS:
            return True
        return signal is PingSignal.SUCCESS or (self.format is PingFormat.KUMA and signal is PingSignal.FAILURE)

    def address_and_body(self, ping: Ping) -> tuple[PostAddress, bytes]:
        """Return the request for a ping. An address that was copied with a query keeps it."""
        parts = urlsplit(self.url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        report = scrub(ping.report)[:_LONGEST_REPORT]
        if self.format is PingFormat.HEALTHCHECKS:
            suffix = {PingSignal.START: "/start", PingSignal.FAILURE: "/fail"}.get(ping.signal, "")
            query |= {"rid": ping.run} if ping.run else {}
            parts = parts._replace(path=parts.path.rstrip("/") + suffix, query=urlencode(query))
            return PostAddress(parts.geturl()), report.encode()
        if self.format is PingFormat.KUMA:
            line = report.partition("\n")[0][:_LONGEST_LINE]
            status = "up" if ping.signal is PingSignal.SUCCESS else "down"
            query |= {"status": status, "msg": line or "OK", "ping": str(round(ping.duration * 1000))}
            parts = parts._replace(query=urlencode(query))
        return PostAddress(parts.geturl(), method="GET"), b""

    def is_confirmed(self, response: DeliveryResponse) -> bool:
        """Return whether a response with a status of success means that the ping counts.

        healthchecks.io responds with 200 "OK (not found)" for an address that it does not know; a captive portal with a
        page of its own.
        """
        if self.format is PingFormat.HEALTHCHECKS:
            text = response.body
            return len(text) <= _LONGEST_CONFIRMATION and not any(each in text for each in (b"(", b"<"))
        if self.format is PingFormat.KUMA:
            return (response.document() or {}).get("ok") is True
        return True


class PingRequest:
    """One ping on its way; `cut` ends it, from another thread."""

    def __init__(self, service: PingService, ping: Ping) -> None:
        self._service = service
        address, self._body = service.address_and_body(ping)
        self._connection = PostConnection(address)
        self._is_cut = False

    def send(self, ends_at: float = float("inf"), pause: Callable[[float], None] = clock.sleep) -> str:
        """Send it, again where that may help, and return what went wrong; "" for nothing.

        `ends_at`: monotonic time after which nothing is begun.
        """
        error = ""
        for number in range(_TRIES):
            error, is_final = self._attempt(min(_TIMEOUT, ends_at - clock.monotonic()))
            wait = _PAUSE * 2**number
            if not error or is_final or self._is_cut or number + 1 == _TRIES or clock.monotonic() + wait > ends_at:
                break
            pause(wait)
        return error

    def cut(self) -> None:
        self._is_cut = True
        self._connection.cut()

    def _attempt(self, timeout: float) -> tuple[str, bool]:
        """Return what went wrong, and whether another attempt would bring the same."""
        name = f"the service ({self._service.format})"
        headers = {"User-Agent": "servermonitoring"}
        if self._body:
            headers["Content-Type"] = "text/plain; charset=utf-8"
        try:
            response = self._connection.post(self._body, headers, max(0.1, timeout))
        except UnreachableError as error:
            return f"{name} cannot be reached: {error}", False
        except NoResponseError as error:
            return f"{name}: {error}", False
        finally:
            self._connection.close()
        if response.outcome is DeliveryOutcome.SENT and self._service.is_confirmed(response):
            return "", True
        words = f"{name} responds with {response.in_words()}{response.first_words()}"
        return words, response.outcome not in (DeliveryOutcome.RETRY, DeliveryOutcome.LIMITED)
