"""What the plugin's tests share: ports that never answer, small disks, …"""

import os
import socket
import subprocess
import threading

import pytest


class Listener:
    """Accepts connections on a port of its own and, unless `greeting` is given, never says a word."""

    def __init__(self, greeting: bytes = b"") -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._greeting = greeting
        self._connections: list[socket.socket] = []
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def contacts(self) -> int:
        return len(self._connections)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for each in self._connections:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            if self._greeting:
                connection.sendall(self._greeting)


@pytest.fixture
def hole():
    """A port that accepts and never answers."""
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def greeter():
    """A port that greets with "ready"."""
    listener = Listener(b"ready\n")
    yield listener
    listener.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("missing: root, to mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", folder], check=False).returncode:
        pytest.skip("missing: mount, to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
