"""A process forked for probes or tests, as the pytest process sees it: its channel, its output, its memory."""

import _socket
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

from healthchecks.plugin.probes.message import Reader, readable
from healthchecks.plugin.probes.processes import resident

INTERVAL = 0.05  # seconds between two examinations of a process: what it has sent, its memory
LATE = 0.5  # seconds after a timeout at which what came of a probe or test must be there
_LONGEST_OUTPUT = 20_000  # bytes of what it printed last
_Socket = socket.socket  # a test may replace it, as with monkeypatch, for what it calls


class ForkedProcess:
    """One process. `memory`: the bytes that it may use besides what this process has, with which it begins."""

    def __init__(self, memory: int) -> None:
        """Create channel and output. Raise OSError if the system has no descriptors left."""
        self.pid = 0  # until it is known
        self._memory, self._most = memory, (resident(os.getpid()) or 0) + memory
        self._reader, self._output = Reader(), b""
        self.channel, self._its_channel = (_Socket(fileno=each.detach()) for each in _socket.socketpair())
        for each in (self.channel, self._its_channel):
            each.setblocking(True)  # whatever default a check has set for sockets
        self.printed, self._its_output = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.printed, False)
        self._sources = [self.channel.fileno(), self.printed]

    @property
    def output(self) -> str:
        """The last of what it printed outside of its jobs."""
        return self._output.decode(errors="replace")

    @contextlib.contextmanager
    def its_ends(self) -> Iterator[tuple[socket.socket, int]]:
        """Yield the ends of channel and output that the process gets when it is forked; close them here."""
        try:
            yield self._its_channel, self._its_output
        finally:
            self._its_channel.close()
            os.close(self._its_output)

    def uses_too_much(self) -> bool:
        """Return whether it uses more memory than it may; False until its pid is known, and without /proc."""
        return bool(self.pid) and (resident(self.pid) or 0) > self._most

    def wait(self, seconds: float) -> list[Any] | None:
        """Wait for what it sends or prints; return its messages, None when nothing more will come."""
        ready = readable(self._sources, max(0.0, seconds))
        if self.printed in ready and not self.read_output():
            self._sources.remove(self.printed)
        return self.read_messages() if self.channel.fileno() in ready else []

    def read_messages(self) -> list[Any] | None:
        """Return what it has sent; None when nothing more will come. Raise what pickle raises for no message."""
        return self._reader.read(self.channel.fileno())

    def read_output(self) -> bool:
        """Keep the last of what it has printed. Return False at the end."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.printed, 1 << 16)
            self._output = (self._output + data)[-_LONGEST_OUTPUT:]
            return bool(data)
        return True

    def close(self) -> None:
        self.channel.close()
        os.close(self.printed)
