"""stdout, stderr and a place for captured output, where they are closed, full or without a disk."""

import io
import os
import sys
import tempfile
from typing import Any, TextIO

import pytest

from servermonitoring.files import open_standard

_made: list["_Output"] = []


class _Output(io.FileIO):
    """A descriptor to which writing may fail without an error, until `insist` says otherwise."""

    forgiving = True

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            if not self.forgiving:
                raise
            return memoryview(data).nbytes


def secure() -> None:
    """Replace what stands for a closed descriptor, and all output that is no terminal."""
    closed = open_standard()
    if 0 in closed:
        _stand_for_closed("stdin", open(0, encoding="utf-8", closefd=False))  # noqa: SIM115 - for the whole process
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream: TextIO | None = getattr(sys, name)
        if number in closed:
            _stand_for_closed(name, _output(number, name, None))
        elif stream and stream is getattr(sys, f"__{name}__") and not os.isatty(number):
            setattr(sys, name, _output(number, name, stream))


def _stand_for_closed(name: str, stream: TextIO) -> None:
    for each in (name, f"__{name}__"):
        setattr(sys, each, stream)


def insist() -> None:
    """Let errors be errors: this run has no health checks."""
    for each in _made:
        each.forgiving = False


def _output(number: int, name: str, like: TextIO | None) -> io.TextIOWrapper:
    raw = _Output(number, "w", closefd=False)
    raw.name = f"<{name}>"
    _made.append(raw)
    if like is not None:
        like.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding if like else "utf-8",
        errors=(like.errors if like else None) or "backslashreplace",
        line_buffering=name == "stderr",
    )


_MEMORY = "/dev/shm"  # noqa: S108 - as hostile as /tmp, and used as carefully


def secure_capture(config: pytest.Config) -> None:
    """Where no file can be made in any directory for temporary ones, take one in memory, or none at all."""
    if _is_there():
        return
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = _MEMORY
    if _is_there():
        return
    os.environ.pop("TMPDIR")
    if before is not None:
        os.environ["TMPDIR"] = before
    if config.known_args_namespace.capture in ("fd", "tee-sys"):
        config.known_args_namespace.capture = "sys"


def _is_there() -> bool:
    try:
        tempfile.gettempdir()
    except OSError:
        return False
    return True
