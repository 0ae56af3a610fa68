"""Standard output of a process whose threads are jobs: what a job prints is kept with it."""

import contextlib
import faulthandler
import io
import os
import sys
from collections.abc import Iterable

from healthchecks.plugin.probes.job import current_job


class JobStream(io.TextIOBase):
    """sys.stdout or sys.stderr of a worker; what is printed outside of a job goes to the descriptor."""

    encoding, errors = "utf-8", "backslashreplace"

    def __init__(self, name: str, descriptor: int) -> None:
        super().__init__()
        self.name = f"<{name}>"
        self._stream, self._descriptor = name, descriptor
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        if job := current_job():
            job.write(self._stream, text)
        else:
            os.write(self._descriptor, text.encode(errors="backslashreplace"))
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open: other jobs write to it."""


class _Bytes(io.RawIOBase):
    """What sys.stdout.buffer is."""

    def __init__(self, stream: JobStream) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._stream.write(bytes(data).decode(errors="replace"))
        return len(data)

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open, like the stream."""


def flush_streams() -> None:
    """Write what standard output and error have not written yet."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full, or something of a user's
            stream.flush()


def divert_streams(output: int) -> None:
    """Let descriptors 1 and 2 be `output`, standard input be empty, and prints be kept with their jobs."""
    faulthandler.enable(output, all_threads=False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(output, number)
        stream = JobStream(name, number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
