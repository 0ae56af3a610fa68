"""STARTTLS: what a client and a server say in clear text before TLS, by SMTP, IMAP, POP3 and PostgreSQL."""

import socket
import struct
from collections.abc import Callable
from typing import Literal, NoReturn

from healthchecks import Unhealthy, remaining
from healthchecks.clients.connection import ConnectionStep, Progress, first_bytes

StartTls = Literal["smtp", "imap", "pop3", "postgresql"]
"""Protocols that change to TLS on a connection that is open already."""
_MOST = 65_536  # bytes of all lines before TLS
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # https://www.postgresql.org/docs/current/protocol-message-formats.html


def start_tls(protocol: StartTls, connection: socket.socket, progress: Progress) -> None:
    """Return when TLS is to begin. Raise Unhealthy where the server does not offer it, EOFError or OSError."""
    _STARTS[protocol](_Dialogue(connection, progress))


FIRST_STEPS: dict[StartTls, ConnectionStep] = {
    "smtp": ConnectionStep.GREETING,
    "imap": ConnectionStep.GREETING,
    "pop3": ConnectionStep.GREETING,
    "postgresql": ConnectionStep.STARTTLS,
}
"""What a client waits for once it is connected."""

FAREWELLS: dict[str, bytes] = {
    "smtp": b"QUIT\r\n",
    "imap": b"a3 LOGOUT\r\n",
    "pop3": b"QUIT\r\n",
}
"""What is said at the end, over TLS, so that the server's log has no broken connection."""


class _Dialogue:
    """Lines in clear text, of a server that may send anything."""

    def __init__(self, connection: socket.socket, progress: Progress) -> None:
        self.connection, self.progress = connection, progress
        self._data = b""
        self._left = _MOST

    @property
    def own_address(self) -> str:
        """The address literal of this end (RFC 5321, 4.1.3)."""
        address = self.connection.getsockname()[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def send(self, line: bytes) -> None:
        self.connection.settimeout(remaining())
        self.connection.sendall(line)

    def line(self) -> bytes:
        """Return the next line, without its end."""
        while b"\n" not in self._data:
            self._data += self.read(4096)
        line, _, self._data = self._data.partition(b"\n")
        return line.rstrip(b"\r")

    def read(self, most: int) -> bytes:
        self.connection.settimeout(remaining())
        data = self.connection.recv(most)
        if not data:
            raise EOFError
        self._left -= len(data)
        if self._left < 0:
            raise Unhealthy(f"more than {_MOST // 1024} KiB before TLS at {self.progress.peer}")
        return data

    def finish(self) -> None:
        """Refuse what came in clear text after the consent: someone on the way may have added it (CVE-2011-0411)."""
        if self._data:
            raise Unhealthy(f"clear text {first_bytes(self._data)} in place of TLS at {self.progress.peer}")

    def fail(self, what: str, line: bytes) -> NoReturn:
        raise Unhealthy(f"{what} {first_bytes(line)} at {self.progress.peer}")

    def fail_without_offer(self) -> NoReturn:
        raise Unhealthy(f"no STARTTLS offered at {self.progress.peer}")


def _start_smtp(dialogue: _Dialogue) -> None:
    """Begin TLS as in RFC 3207."""
    if not (greeting := _smtp_reply(dialogue))[-1].startswith(b"220"):
        dialogue.fail("SMTP greeting", greeting[-1])
    dialogue.progress.at(ConnectionStep.STARTTLS)
    dialogue.send(f"EHLO {dialogue.own_address}\r\n".encode())
    if not (offer := _smtp_reply(dialogue))[-1].startswith(b"250"):
        dialogue.fail("EHLO refused:", offer[-1])
    if not any(line[4:].strip().upper() == b"STARTTLS" for line in offer):
        dialogue.fail_without_offer()
    dialogue.send(b"STARTTLS\r\n")
    if not (consent := _smtp_reply(dialogue))[-1].startswith(b"220"):
        dialogue.fail("STARTTLS refused:", consent[-1])
    dialogue.finish()


def _smtp_reply(dialogue: _Dialogue) -> list[bytes]:
    """Return the lines of a reply: all but the last one have a hyphen after the code (RFC 5321, 4.2.1)."""
    lines: list[bytes] = []
    while not lines or lines[-1][3:4] == b"-":
        lines.append(dialogue.line())
        if not lines[-1][:3].isdigit():
            dialogue.fail("not an SMTP server:", lines[-1])
    return lines


def _start_imap(dialogue: _Dialogue) -> None:
    """Begin TLS as in RFC 9051, 6.2.1."""
    greeting = dialogue.line()
    if not greeting.upper().startswith(b"* "):
        dialogue.fail("not an IMAP server:", greeting)
    if not greeting.upper().startswith(b"* OK"):
        dialogue.fail("IMAP greeting", greeting)
    dialogue.progress.at(ConnectionStep.STARTTLS)
    dialogue.send(b"a1 CAPABILITY\r\n")
    lines = _imap_reply(dialogue, b"A1")
    offers = [line.upper().split() for line in lines if line.upper().startswith(b"* CAPABILITY")]
    if not any(b"STARTTLS" in offer for offer in offers):
        dialogue.fail_without_offer()
    dialogue.send(b"a2 STARTTLS\r\n")
    if not (consent := _imap_reply(dialogue, b"A2"))[-1].upper().startswith(b"A2 OK"):
        dialogue.fail("STARTTLS refused:", consent[-1])
    dialogue.finish()


def _imap_reply(dialogue: _Dialogue, tag: bytes) -> list[bytes]:
    """Return the lines up to the one with the tag."""
    lines: list[bytes] = []
    while not lines or not lines[-1].upper().startswith(tag + b" "):
        lines.append(dialogue.line())
        if lines[-1].upper().startswith(b"* BYE"):
            dialogue.fail("the server ended the session:", lines[-1])
    return lines


def _start_pop3(dialogue: _Dialogue) -> None:
    """Begin TLS as in RFC 2595, 4; a server that does not know the command refuses it."""
    greeting = dialogue.line()
    if not greeting.startswith(b"+OK"):
        dialogue.fail("POP3 greeting" if greeting.startswith(b"-ERR") else "not a POP3 server:", greeting)
    dialogue.progress.at(ConnectionStep.STARTTLS)
    dialogue.send(b"STLS\r\n")
    if not (consent := dialogue.line()).startswith(b"+OK"):
        dialogue.fail("STARTTLS refused:", consent)
    dialogue.finish()


def _start_postgresql(dialogue: _Dialogue) -> None:
    """Begin TLS: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL. One byte is read."""
    dialogue.send(_SSL_REQUEST)
    consent = dialogue.read(1)
    if consent == b"N":
        raise Unhealthy(f"the server offers no TLS at {dialogue.progress.peer}")
    if consent != b"S":
        dialogue.fail("not a PostgreSQL server:", consent + dialogue.read(100))


_STARTS: dict[StartTls, Callable[[_Dialogue], None]] = {
    "smtp": _start_smtp,
    "imap": _start_imap,
    "pop3": _start_pop3,
    "postgresql": _start_postgresql,
}
