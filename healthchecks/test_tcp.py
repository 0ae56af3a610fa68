"""Ports: something listens, and greets as expected."""

import socket
from dataclasses import dataclass

from pydantic import Field

from healthchecks import ProbeTimeout, Target, Unhealthy, probe, remaining
from healthchecks.clients.connection import ConnectionStep, Progress, connect, first_bytes
from healthchecks.clients.http.urls import Host


class Tcp(Target):
    host: Host
    """Name or address."""
    port: int = Field(ge=1, le=65535)
    greeting: str = Field(default="", max_length=1_000)
    """Text with which the server must begin by itself after connecting, such as "220" or "SSH-2.0"."""


@dataclass(frozen=True)
class Greeting:
    """What came, as far as it is compared; `where` is the address."""

    received: bytes
    where: str


@probe
def greeting(tcp: Tcp) -> Greeting:
    progress = Progress(tcp.host, tcp.port)
    with connect(progress, ConnectionStep.GREETING) as connection:
        try:
            return Greeting(_read(connection, tcp.greeting.encode()), progress.peer)
        except TimeoutError:
            raise ProbeTimeout from None
        except OSError:
            raise Unhealthy(progress.closed_message) from None


def test_tcp_access(tcp: Tcp, greeting: Greeting) -> None:
    assert greeting.received or not tcp.greeting, f"connection closed without a greeting at {greeting.where}"
    assert greeting.received.startswith(tcp.greeting.encode()), (
        f"greeting {first_bytes(greeting.received)} at {greeting.where} instead of {tcp.greeting!r}"
    )


def _read(connection: socket.socket, expected: bytes) -> bytes:
    """Until the greeting is there, or cannot come any more; then what came with it."""
    received = b""
    while len(received) < len(expected) and expected.startswith(received):
        connection.settimeout(remaining())
        part = connection.recv(4096)
        if not part:
            break
        received += part
    return received
