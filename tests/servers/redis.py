"""A Redis of our own, without a file on disk; and its replicas."""

import contextlib
import re
import shutil
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from tests.servers.server import HOST, Server, as_user, free_port, give_to, program, until

PASSWORD = "s3cret p@ss/50%"
USER = "nobody"  # runs it where the tests are run by root


class Redis(Server):
    """`redis.url` is for a check; `.client()` is for its test.

    Settings are those of redis.conf: `Redis(maxclients=20)`; `master` is the server that it is a replica of. With a
    certificate, a PEM file with key and chain, it also speaks TLS, at `tls_port`.
    """

    def __init__(self, *, master: "Redis | None" = None, certificate: Path | None = None, **settings: Any) -> None:
        self.server = program("redis-server")
        super().__init__()
        self.port = free_port()
        self.tls_port = free_port() if certificate else 0
        self._settings = settings
        if master:
            self._settings |= {"replicaof": f"{HOST} {master.port}", "masterauth": PASSWORD}
        if certificate:
            copy = self.directory / "certificate.pem"
            shutil.copy(certificate, copy)
            give_to(USER, copy)
            self._settings |= {
                "tls-port": self.tls_port, "tls-cert-file": copy, "tls-key-file": copy, "tls-auth-clients": "no",
                "tls-ca-cert-file": copy,
            }  # fmt: skip
        give_to(USER, self.directory)

    def command(self) -> list[str]:
        options = {
            "port": self.port, "bind": HOST, "save": "", "appendonly": "no", "requirepass": PASSWORD,
            "dir": self.directory, "repl-diskless-sync-delay": 0, **self._settings,
        }  # fmt: skip
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        return [*as_user(USER, "KILL"), self.server, *words]

    @property
    def url(self) -> str:
        return f"redis://:{quote(PASSWORD, safe='')}@{HOST}:{self.port}/0"

    @property
    def info(self) -> dict[str, Any]:
        with contextlib.closing(self.client()) as client:
            return client.info()

    def client(self) -> redis.Redis:
        return redis.Redis(HOST, self.port, password=PASSWORD)

    def await_ready(self) -> None:
        until(self._answers, what="an answer of Redis")

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError("Redis ended before it was ready")
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 5) as connection:
            connection.sendall(b"PING\r\n")
            return bool(re.match(rb"-NOAUTH", connection.recv(100)))
        return False
