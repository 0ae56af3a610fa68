"""Ports: something listens, and greets as expected."""

import socket
from dataclasses import dataclass

from pydantic import Field

from healthchecks import NoAnswer, Target, Unhealthy, measurement, remaining
from servermonitoring.scrubbing import scrub_and_cut

_LONGEST_GREETING = 4096  # bytes


class Tcp(Target):
    host: str
    """Name or address."""
    port: int = Field(ge=1, le=65535)
    greeting: str = ""
    """Text that the server must send by itself after connecting, such as "220" or "SSH-2.0"."""


@dataclass(frozen=True)
class Greeting:
    text: str


@measurement
def greeting(tcp: Tcp) -> Greeting:
    where = f"{tcp.host}:{tcp.port}"
    try:
        with socket.create_connection((tcp.host, tcp.port), timeout=remaining()) as connection:
            return Greeting(_read(connection, tcp.greeting.encode()))
    except TimeoutError:
        raise NoAnswer(f"no answer at {where} within {tcp.deadline:g} s") from None
    except OSError as error:
        raise Unhealthy(f"{error.strerror or error} at {where}") from None


def test_tcp_access(tcp: Tcp, greeting: Greeting) -> None:
    shown = scrub_and_cut(greeting.text, 80)
    assert tcp.greeting in greeting.text, f"greets with {shown!r} at {tcp.host}:{tcp.port} instead of {tcp.greeting!r}"


def _read(connection: socket.socket, expected: bytes) -> str:
    received = b""
    while expected not in received and len(received) < _LONGEST_GREETING:
        connection.settimeout(remaining())
        part = connection.recv(_LONGEST_GREETING)
        if not part:
            break
        received += part
    return received.decode(errors="replace")
