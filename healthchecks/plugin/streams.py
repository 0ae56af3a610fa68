"""stdout and stderr that may be closed, full or without a reader: a run is about its checks, not about its output."""

import io
import os
import sys
from typing import Any, TextIO

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
