"""Runs the suite as a user does: pytest in a process of its own, on checks and a configuration in a new folder."""

import json
import os
import signal
import socket
import subprocess
import textwrap
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fork_server import Process, Stream, start_pytest

_LIMIT = 180  # seconds; a run that takes longer hangs


@dataclass
class Outcome:
    """What a run left behind."""

    status: int
    output: str
    checks: dict[str, dict] = field(default_factory=dict)
    document: dict = field(default_factory=dict)


class Suite:
    """A folder with checks of a user and a configuration; state and page stay in it."""

    forked = True  # false: its Python starts as every Python does

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "SERVERMON"))},
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        (folder / "pytest.ini").write_text("[pytest]\n")

    @property
    def state(self) -> Path:
        return self.folder / "state" / "servermonitoring"

    @property
    def page(self) -> Path:
        return self.folder / "reports" / "html"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def configure(self, text: str) -> Path:
        return self.write("servermonitoring.toml", text)

    def start(self, *arguments: str, stdout: Stream = subprocess.PIPE) -> Process:
        options = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        return start_pytest([*options, *arguments], self.folder, self.environment, stdout, forked=self.forked)

    def finish(self, process: Process) -> Outcome:
        try:
            output, _ = process.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise
        status = self.page / "status.json"
        document = json.loads(status.read_text()) if status.exists() else {}
        checks = {f"{each['check']}[{each['target']}]": each for each in document.get("checks", ())}
        return Outcome(process.returncode, output, checks, document)

    def run(self, *arguments: str) -> Outcome:
        return self.finish(self.start(*(arguments or ("test_mine.py",))))


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


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
