"""One attempt to deliver one entry: the request, and what its response means for the entry."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from servermonitoring.delivery.entries import SpoolEntry
from servermonitoring.delivery.responses import DeliveryOutcome, NoResponseError, UnreachableError
from servermonitoring.delivery.spool import Spool

if TYPE_CHECKING:
    from servermonitoring.delivery.connection import PostConnection
    from servermonitoring.delivery.responses import DeliveryResponse


class Destination(Protocol):
    """The service that entries are sent to, and the format of its requests."""

    name: str  # in messages: "Sentry"

    def connection(self) -> "PostConnection":
        """Return a new connection."""

    def prepare(self, content: bytes, identity: str) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of the POST. Raise ValueError for what can never be sent."""

    def is_confirmed(self, content: bytes, response: "DeliveryResponse") -> bool:
        """Return whether a response with a status of success confirms this content."""


_TIMEOUT = 10.0  # seconds for each step


@dataclass(frozen=True)
class Attempt:
    """What one request brought."""

    outcome: DeliveryOutcome
    error: str = ""
    pause: float = 0.0  # seconds for which the receiver accepts nothing more
    suffix: str = ""  # of its name in refused/
    reason: str = ""  # of a refusal: the status of the response, and its first words


def attempt(spool: Spool, destination: Destination, connection: "PostConnection", entry: SpoolEntry) -> Attempt:
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
    except NoResponseError as error:
        return Attempt(DeliveryOutcome.RETRY, f"{destination.name}: {error}")
    return _attempt_of(destination, content, response)


def _attempt_of(destination: Destination, content: bytes, response: "DeliveryResponse") -> Attempt:
    outcome, error = response.outcome, f"{destination.name} responds with {response.in_words()}"
    if outcome is DeliveryOutcome.SENT:
        if destination.is_confirmed(content, response):
            return Attempt(outcome, pause=response.pause())
        error += " without confirming the alert: check its address and any proxy"
        return Attempt(DeliveryOutcome.RETRY, error)
    if outcome is DeliveryOutcome.UNAVAILABLE:
        error += ": check its address and key"
    reason = f"{response.in_words()}{response.first_words()}"
    return Attempt(outcome, error, response.pause(), f"status-{response.status}", reason)
