"""Servers that misbehave, each in its own way and on its own port, in one process.

Thousands of connections at a time are fine: all of it is asyncio.
"""

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import Awaitable, Callable

from tests.servers import child
from tests.servers.server import HOST, PythonServer, free_port

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUEST = 65536  # bytes read of a request; all of a small one comes at once
HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


async def hole(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accepts, swallows everything, and never answers."""
    while await reader.read(REQUEST):
        pass


async def closes(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accepts, and closes at once."""


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what no protocol knows, then waits for the client to be the one that closes."""
    writer.write(b"\x00\x01GARBAGE \xff\xfe!!\r\n\r\n" * 4)
    await writer.drain()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await hole(reader, writer)


async def drip_raw(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One byte a second from the start; to a client of PostgreSQL the beginning of a very long error."""
    await _drip(writer, b"NE\x00\x00\x00\x7fSFATAL\x00")


async def drip_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP: a header that grows by one byte a second."""
    await reader.read(REQUEST)
    writer.write(HEADER + b"X-Never-Ends: ")
    await _drip(writer)


async def drip_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP: a body that grows by one byte a second."""
    await reader.read(REQUEST)
    writer.write(HEADER + b"Content-Length: 1000000\r\n\r\n")
    await _drip(writer)


async def drip_amqp(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """AMQP: Connection.Start in a frame of 500 bytes, at one byte a second."""
    writer.write(b"\x01\x00\x00\x00\x00\x01\xf4\x00\x0a\x00\x0a")
    await _drip(writer)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP: a body without end, as fast as it is read."""
    await reader.read(REQUEST)
    writer.write(HEADER + b"Connection: close\r\n\r\n")
    while True:
        writer.write(b"a" * REQUEST)
        await writer.drain()


async def redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP: redirects to itself, each step 0.9 s: below any time limit, and without end."""
    await reader.read(REQUEST)
    await asyncio.sleep(0.9)
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def endless_redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP: a redirect to itself, with a body without end."""
    await reader.read(REQUEST)
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b"a" * REQUEST)
        await writer.drain()


async def _drip(writer: asyncio.StreamWriter, begin: bytes = b"") -> None:
    for byte in itertools.chain(begin, itertools.repeat(ord("x"))):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


BEHAVIOURS: dict[str, Behaviour] = {
    each.__name__: each
    for each in (
        hole, closes, garbage, drip_raw, drip_header, drip_body, drip_amqp, endless, redirects, endless_redirect,
    )
}  # fmt: skip


class BadServers(PythonServer):
    """`bad.port("hole")`, `bad.url("endless")`; the names are the functions above."""

    module = "tests.servers.bad"

    def __init__(self) -> None:
        super().__init__()
        self.ports = {name: free_port() for name in BEHAVIOURS}

    def port(self, name: str) -> int:
        return self.ports[name]

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}/"

    def arguments(self) -> list[str]:
        return [json.dumps(self.ports)]


def _handler(behave: Behaviour) -> Behaviour:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # the client went away
            await behave(reader, writer)
        writer.close()

    return handle


async def _serve(ports: dict[str, int]) -> None:
    for name, port in ports.items():
        await asyncio.start_server(_handler(BEHAVIOURS[name]), HOST, port, backlog=4096)
    child.ready()
    await asyncio.Event().wait()


if __name__ == "__main__":
    child.end_with_parent()
    child.raise_descriptor_limit()
    asyncio.run(_serve(json.loads(sys.argv[1])))
