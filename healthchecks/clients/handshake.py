"""TLS handshakes over any open connection, and one message for each way in which they fail."""

import contextlib
import errno
import socket
import ssl
from dataclasses import dataclass
from functools import cache

from healthchecks import remaining
from healthchecks.clients.certificate import Certificate
from healthchecks.clients.connection import Progress, first_bytes, is_closed_by_peer
from servermonitoring import clock
from servermonitoring.values import size_in_words

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_OTHER_VERSION = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE")
_PART = 16_384  # bytes read at a time
_MOST = 1_000_000  # bytes of a whole handshake; OpenSSL takes a chain of 100 kB
_MOST_CERTIFICATES = 20  # of a chain, in messages
_GREETINGS = ((b"220", "smtp"), (b"* OK", "imap"), (b"+OK", "pop3"))


class Handshake:
    """A handshake without a socket of its own, so that what a peer sends in place of TLS is seen, and bounded."""

    def __init__(
        self, connection: socket.socket, context: ssl.SSLContext, name: str, seconds: float | None = None
    ) -> None:
        """Agree on TLS for the server called `name`, within `seconds`, by default those that the probe has left."""
        self.begin = b""
        """The first bytes that the peer sent."""
        self._ends_at = clock.monotonic() + (remaining() if seconds is None else seconds)
        self._connection = connection
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secured = context.wrap_bio(self._received, self._sent, server_hostname=name)
        self._left = _MOST

    def perform(self) -> ssl.SSLObject:
        """Return the secured connection. Raise OSError, which ssl.SSLError is, TimeoutError or EOFError."""
        while True:
            try:
                self._secured.do_handshake()
            except ssl.SSLWantReadError:
                self._send()
                self._receive()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self._send()  # the alert, for the log of the server
                raise
            else:
                self._send()
                return self._secured

    def say(self, text: bytes) -> None:
        """Send a line over TLS; a peer that has gone does not matter any more."""
        with contextlib.suppress(OSError):
            self._secured.write(text)
            self._send()

    def _send(self) -> None:
        if data := self._sent.read():
            self._connection.settimeout(self._time_left())
            self._connection.sendall(data)

    def _receive(self) -> None:
        self._connection.settimeout(self._time_left())
        data = self._connection.recv(_PART)
        if not data:
            raise EOFError
        self.begin = self.begin or data
        self._left -= len(data)
        if self._left < 0:
            raise OSError(errno.EMSGSIZE, f"More than {size_in_words(_MOST)} in the TLS handshake")
        self._received.write(data)

    def _time_left(self) -> float:
        return max(0.001, self._ends_at - clock.monotonic())


@dataclass(frozen=True)
class Presentation:
    """What a server shows to anyone: the version of TLS agreed on, such as "1.3", and its chain; all unverified."""

    version: str = ""
    chain: tuple[Certificate, ...] = ()


def inspect(connection: socket.socket, name: str) -> Presentation:
    """Return what the server shows, also by protocols that are out of use; nothing where it shows nothing.

    Half of the time that is left stays for the message that it is for.
    """
    try:
        secured = Handshake(connection, _lenient_context(), name, remaining() / 2).perform()
        return Presentation(version_of(secured), _chain_of(secured))
    except (OSError, EOFError):
        return Presentation()


def presented_chain(host: str, port: int) -> tuple[Certificate, ...]:
    """Return the chain of a server whose certificate was refused; empty where it does not come a second time."""
    try:
        with socket.create_connection((host, port), timeout=remaining() / 2) as connection:
            return inspect(connection, host).chain
    except OSError:
        return ()


def version_of(secured: ssl.SSLObject) -> str:
    """Return the version of TLS that was agreed on: "1.3"."""
    version = (secured.version() or "").removeprefix("TLSv")
    return "1.0" if version == "1" else version


def describe_tls_error(error: BaseException, progress: Progress, begin: bytes = b"") -> str:
    """Return a message for a handshake that failed, but for a refused certificate; empty for any other error."""
    if isinstance(error, EOFError) or is_closed_by_peer(error):
        return progress.closed_message
    if not isinstance(error, ssl.SSLError):
        return ""
    if error.reason in _NO_TLS:
        return f"no TLS at {progress.peer}" + (f", but {first_bytes(begin)}{_hint(begin)}" if begin else "")
    reason = (error.reason or str(error)).lower().replace("_", " ")
    return f"TLS handshake failed at {progress.peer}: {reason}"


def lacks_common_version(error: BaseException) -> bool:
    """Return whether a handshake failed because both sides speak no version of TLS that the other one does."""
    return isinstance(error, ssl.SSLError) and error.reason in _OTHER_VERSION


def _hint(begin: bytes) -> str:
    protocol = next((name for greeting, name in _GREETINGS if begin.startswith(greeting)), "")
    return f': write starttls = "{protocol}"' if protocol else ""


@cache
def _lenient_context() -> ssl.SSLContext:
    """Return a context for looking only: nothing is sent over what it agrees to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # that of TLS 1.0 and 1.1
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context


def _chain_of(secured: ssl.SSLObject) -> tuple[Certificate, ...]:
    """Return the certificates as the server sent them. Python has a public way since 3.13 only, to bytes."""
    try:
        chain = secured._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]  # noqa: SLF001
        return tuple(Certificate.from_fields(each.get_info()) for each in chain[:_MOST_CERTIFICATES])
    except (AttributeError, LookupError, TypeError, ValueError):
        return ()
