"""One attempt to deliver one entry: the request, and what its response means for the entry, and how long to pause.

Light: every run with alerts loads it, though few have one to deliver.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from servermonitoring import clock
from servermonitoring.scrubbing import scrub

if TYPE_CHECKING:
    from servermonitoring.delivery.spool import Spool, SpoolEntry

_TIMEOUT = 10.0  # seconds for each step
MOST_CONNECTIONS = 32  # of one spool to its service
_RETRY = {408, 425, 429}  # and every 5xx
_WRONG_ADDRESS = {401, 403, 404, 407}  # not about what was sent: the next one would fail, too
_UNNAMED_PAUSE = 60.0  # seconds after a 429 that names none, as Sentry's own SDKs have it
_LONGEST_PAUSE = 86400.0  # seconds
_FIRST_WORDS = 200  # characters
_OF_EVENTS = {"", "error", "default"}  # Sentry's categories of what is sent here; "" is all


class Connection(Protocol):
    """One connection to a service: servermonitoring.delivery.connection has it."""

    def post(self, body: bytes, headers: dict[str, str], timeout: float) -> "DeliveryResponse":
        """Send a request and return the response; `timeout` is in seconds. Raise UnreachableError, NoResponseError."""

    def cut(self) -> None:
        """End the request in progress, from another thread; nothing more can be sent."""

    def close(self) -> None:
        """Close it; the next request opens it again."""


class Destination(Protocol):
    """The service that entries are sent to, and the format of its requests."""

    name: str  # in messages: "Sentry"
    most_connections: int  # at a time

    def connection(self) -> Connection:
        """Return a new connection."""

    def prepare(self, content: bytes, identity: str) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of the POST. Raise ValueError for what can never be sent."""

    def is_confirmed(self, content: bytes, response: "DeliveryResponse") -> bool:
        """Return whether a response with a status of success confirms this content."""


class DeliveryOutcome(Enum):
    """What happens to the entry that was sent."""

    SENT = "sent"
    RETRY = "retry"  # kept for another attempt
    LIMITED = "limited"  # kept, as all others, until the pause is over
    REFUSED = "refused"  # this one for good
    UNAVAILABLE = "unavailable"  # kept, as all others: the address or the key is wrong


@dataclass(frozen=True)
class Attempt:
    """What one request brought."""

    outcome: DeliveryOutcome
    error: str = ""
    pause: float = 0.0  # seconds for which the receiver accepts nothing more
    suffix: str = ""  # of its name in refused/
    reason: str = ""  # of a refusal: the status of the response, and its first words
    response: "DeliveryResponse | None" = None


def attempt(spool: "Spool", destination: Destination, connection: Connection, entry: "SpoolEntry") -> Attempt:
    """Send one entry and read the response."""
    try:
        content = spool.read(entry)
        body, headers = destination.prepare(content, entry.identity)
        response = connection.post(body, headers, _TIMEOUT)
    except FileNotFoundError:
        return Attempt(DeliveryOutcome.SENT)  # somebody removed it
    except OSError as error:
        return Attempt(DeliveryOutcome.RETRY, f"{entry.name} in the spool cannot be read: {error.strerror}")
    except (ValueError, RecursionError) as error:
        return Attempt(DeliveryOutcome.REFUSED, f"{entry.name} in the spool is damaged: {error}", suffix="damaged")
    except UnreachableError as error:
        return Attempt(DeliveryOutcome.UNAVAILABLE, f"{destination.name} cannot be reached: {error}")
    except Exception as error:  # noqa: BLE001 - a check may replace functions of Python's, such as those of sockets
        why = str(error) if isinstance(error, NoResponseError) else f"{type(error).__name__}: {error}"
        return Attempt(DeliveryOutcome.RETRY, f"{destination.name}: {why}")
    return _attempt_of(destination, content, response)


def _attempt_of(destination: Destination, content: bytes, response: "DeliveryResponse") -> Attempt:
    outcome, error = response.outcome, f"{destination.name} responds with {response.in_words()}"
    if outcome is DeliveryOutcome.SENT:
        if destination.is_confirmed(content, response):
            return Attempt(outcome, pause=response.pause(), response=response)
        error += " without confirming the alert: check its address and any proxy"
        return Attempt(DeliveryOutcome.RETRY, error, response=response)
    if outcome is DeliveryOutcome.UNAVAILABLE:
        error += ": check its address and key"
    return Attempt(outcome, error, response.pause(), f"status-{response.status}", response.summary(), response)


class UnreachableError(Exception):
    """No connection to the right server; the message says why."""


class NoResponseError(Exception):
    """A server that sent no complete response in time; the message says why."""


@dataclass(frozen=True)
class DeliveryResponse:
    """An HTTP response; names of headers in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    """The first 65,536 bytes."""

    @property
    def outcome(self) -> DeliveryOutcome:
        status = self.status
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
            return DeliveryOutcome.SENT
        if status == 429:  # noqa: PLR2004
            return DeliveryOutcome.LIMITED
        if status in _RETRY or status >= 500:  # noqa: PLR2004
            return DeliveryOutcome.RETRY
        # A redirect is not followed: what is sent would go to an unknown server.
        wrong_address = status in _WRONG_ADDRESS or status < 400  # noqa: PLR2004
        return DeliveryOutcome.UNAVAILABLE if wrong_address else DeliveryOutcome.REFUSED

    def in_words(self) -> str:
        """Return status and phrase: "429 Too Many Requests"."""
        from http import HTTPStatus

        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    def first_words(self) -> str:
        """Return the start of the body, as in ": no_text": one line, without secrets; "" for an empty body."""
        text = "".join(each if each.isprintable() else " " for each in self.body.decode(errors="replace"))
        words = " ".join(scrub(text).split())[:_FIRST_WORDS]
        return f": {words}" if words else ""

    def summary(self) -> str:
        """Return status and first words: "400 Bad Request: no_text"."""
        return f"{self.in_words()}{self.first_words()}"

    def document(self) -> dict[str, Any] | None:
        """Return the body if it is one JSON object, else None."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    def pause(self) -> float:
        """Return for how many seconds to send nothing; 0 for no pause."""
        limits = self.headers.get("x-sentry-rate-limits", "")
        asked = [_rate_limit(each) for each in limits.split(",")]
        if self.status in {429, 503} and not limits:
            asked.append(_retry_after(self.headers.get("retry-after", "")))
        wanted = max(asked)
        if not wanted and self.status == 429:  # noqa: PLR2004
            wanted = _UNNAMED_PAUSE
        return min(wanted, _LONGEST_PAUSE)


def _rate_limit(text: str) -> float:
    """Return 60 of "60:error;default:organization" (X-Sentry-Rate-Limits); 0 for other categories."""
    seconds, _, rest = text.strip().partition(":")
    categories = set(rest.partition(":")[0].split(";"))
    return _seconds(seconds) if categories & _OF_EVENTS else 0.0


def _retry_after(text: str) -> float:
    """Return the seconds of "120" or until a date."""
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - clock.time())
    except (ValueError, OverflowError):
        return _seconds(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 < number < float("inf") else 0.0
