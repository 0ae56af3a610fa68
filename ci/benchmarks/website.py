"""Website in a process of its own that answers each request after a time, or never.

Usage: website.py SECONDS. It prints its port; `inf` accepts every connection and never answers.
"""

import asyncio
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.servers.child import raise_descriptor_limit
from tests.servers.server import HOST, Server

_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
_BACKLOG = 4096  # connections that wait: no SYN of 1,000 at once is dropped


class Website(Server):
    """`with Website(0.02) as website: website.url` starts and stops it. `delay`: seconds."""

    def __init__(self, delay: float) -> None:
        super().__init__()
        self.delay = delay

    def command(self) -> list[str]:
        return [sys.executable, __file__, str(self.delay)]

    def await_ready(self) -> None:
        assert self.process
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"


class Connection(asyncio.Protocol):
    def __init__(self, delay: float) -> None:
        self.delay, self.received = delay, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"\r\n\r\n") and math.isfinite(self.delay):
            asyncio.get_running_loop().call_later(self.delay, self.answer)

    def answer(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.write(_RESPONSE)
            self.transport.close()


async def serve(delay: float) -> None:
    """Serve until stdin ends."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(0, ended.set)
    server = await loop.create_server(lambda: Connection(delay), HOST, 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()


if __name__ == "__main__":
    raise_descriptor_limit()
    asyncio.run(serve(float(sys.argv[1])))
