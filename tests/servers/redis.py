"""A Redis of our own, without a file on disk."""

import contextlib
import socket
from urllib.parse import quote

import redis

from tests.servers.server import HOST, Server, ends_with_parent, free_port, program, until

PASSWORD = "of the tests/50%"


class Redis(Server):
    """`redis.url` is for a check; `.client()` is for its test."""

    def __init__(self) -> None:
        self.server = program("redis-server")
        super().__init__()
        self.port = free_port()

    def command(self) -> list[str]:
        options = {
            "port": self.port, "bind": HOST, "save": "", "appendonly": "no", "requirepass": PASSWORD,
            "dir": self.directory,
        }  # fmt: skip
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        return [*ends_with_parent("KILL"), self.server, *words]

    @property
    def url(self) -> str:
        return f"redis://:{quote(PASSWORD, safe='')}@{HOST}:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(HOST, self.port, password=PASSWORD)

    def await_ready(self) -> None:
        until(self._answers, what="an answer of Redis")

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("Redis ended before it was ready")
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(1) == b"-"  # no password given
        return False
