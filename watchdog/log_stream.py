"""The log on stderr: one line for each record, without waiting for its reader."""

import contextlib
import copy
import logging
import os
import select
import sys

from servermonitoring.threads import Backlog

log = logging.getLogger(__name__)

_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_MOST = 1000  # lines that wait for a reader
_LONGEST = 20_000  # characters of a record
_BUDGET = 2.0  # seconds for what is left at the end


class LineFormatter(logging.Formatter):
    r"""Shows what is not printable as Python does, \n or \x1b: no text from outside begins a line or moves a cursor.

    The lines of a traceback or of a list of errors are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        shown = copy.copy(record)
        if isinstance(shown.args, tuple):
            shown.args = tuple(escaped(each) if isinstance(each, str) else each for each in shown.args)
        lines = super().format(shown)[:_LONGEST].split("\n")
        return "\n    ".join(map(escaped, lines))


class LogStream(logging.Handler):
    """Writes to a descriptor in a thread. Lines without room are counted, and the count is logged."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(LineFormatter(_FORMAT))
        self._descriptor = descriptor
        self._lines: Backlog[str] = Backlog(self._write, _MOST, log)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - a record that cannot be formatted must not end the program
            text = f"{record.msg!r} cannot be shown: {error!r}"
        self._lines.put(text)

    def finish(self) -> None:
        """Wait a moment for the lines that are left."""
        self._lines.finish(_BUDGET)

    def _write(self, text: str) -> None:
        if dropped := self._lines.take_dropped_count():
            text = f"{dropped} lines of the log were dropped: nobody read stderr in time\n{text}"
        rest = f"{text}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):  # closed, or a full disk: nobody will ever read it
            while rest:
                rest = rest[self._write_some(rest) :]

    def _write_some(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll()
            return 0


def begin() -> LogStream:
    """Send the log to stderr from now on; `finish` the stream at the end."""
    stream = LogStream(sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, handlers=[stream])
    return stream


def begin_plainly() -> None:
    """Send the log to stderr directly, for a command that ends in a moment and may wait."""
    stream = logging.StreamHandler()
    stream.setFormatter(LineFormatter(_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[stream])


def escaped(text: str) -> str:
    """Return the text on one line, without control characters."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
