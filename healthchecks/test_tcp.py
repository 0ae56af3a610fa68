"""Ports: accept a connection, and send the expected greeting."""

import socket
from dataclasses import dataclass

from pydantic import Field

from healthchecks import ProbeTimeout, Target, Unhealthy, metric, probe, remaining
from healthchecks.clients.connection import ConnectionStep, Progress, connect, first_bytes
from healthchecks.clients.http.urls import Host


class Tcp(Target):
    host: Host
    """Name or address of the server."""
    port: int = Field(ge=1, le=65535)
    """Port that must accept a connection."""
    greeting: str = Field(default="", max_length=1_000)
    """Text that the server must send first, such as `"220"` or `"SSH-2.0"`; without it nothing is read."""


@dataclass(frozen=True)
class Greeting:
    """The bytes received, as many as are compared; `where` is the address."""

    received: bytes
    where: str
    connect: float
    """Seconds until the port accepted the connection, without the resolution of the name."""


@probe
def greeting(tcp: Tcp) -> Greeting:
    progress = Progress(tcp.host, tcp.port)
    with connect(progress, ConnectionStep.GREETING) as connection:
        try:
            received = _read(connection, tcp.greeting.encode())
        except TimeoutError:
            raise ProbeTimeout from None
        except OSError:
            raise Unhealthy(progress.closed_message) from None
    return Greeting(received, progress.peer, progress.times.seconds[ConnectionStep.CONNECT])


def test_tcp_access(tcp: Tcp, greeting: Greeting) -> None:
    metric("connect", greeting.connect, "seconds")
    assert greeting.received or not tcp.greeting, f"connection closed without a greeting at {greeting.where}"
    assert greeting.received.startswith(tcp.greeting.encode()), (
        f"greeting {first_bytes(greeting.received)} at {greeting.where} instead of {tcp.greeting!r}"
    )


def _read(connection: socket.socket, expected: bytes) -> bytes:
    """Read until the greeting is complete, or differs, or the connection ends."""
    received = b""
    while len(received) < len(expected) and expected.startswith(received):
        connection.settimeout(remaining())
        part = connection.recv(4096)
        if not part:
            break
        received += part
    return received
