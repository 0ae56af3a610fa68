"""What a probe or test logs and prints, in a process whose threads are jobs: kept with its job, bounded.

Log records cross to the pytest process with plain values only.
"""

import contextlib
import faulthandler
import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

from healthchecks.plugin.probes.job import ProbeJob, current_job
from healthchecks.plugin.result import clean, name_of, text_of

DATA = "healthchecks_data"  # the attribute of a record that capture_message() made
TEMPLATE = "healthchecks_template"  # of any that has crossed: its text without its values
RAISED = "healthchecks_raised"  # and the error that was logged with it
MOST = 1000  # of one job
_LONGEST = 100_000  # characters of one record
_LONGEST_ALL = 2_000_000  # of all records of one job
_MOST_DATA = 50
_PLAIN = (str, int, float, bool, type(None))
_EXCEPTIONS = logging.Formatter()


class JobLog(logging.Handler):
    """Keeps the records of each job with it, in a process whose threads run jobs."""

    main_job: ProbeJob | None = None
    """Which has what is logged in threads that run no job."""

    def emit(self, record: logging.LogRecord) -> None:
        job = current_job() or self.main_job
        if job is not None and len(job.records) < MOST:
            job.records.append(record)


def divert_logs(level: int, handlers: Sequence[logging.Handler] = ()) -> JobLog:
    """Let what is logged be kept with its job. `level`: the root logger's; `handlers`: those of it that remain."""
    log, root = JobLog(), logging.getLogger()
    root.handlers[:] = [*handlers, log]
    root.setLevel(level)
    return log


def pack_records(records: Iterable[logging.LogRecord]) -> Iterator[logging.LogRecord]:
    """Yield copies that can be pickled, as many as fit, without secrets: some are known to this process only."""
    room = _LONGEST_ALL
    for record in records:
        packed = _packed(record)
        room -= len(packed.msg)
        if room < 0:
            return
        yield packed


def message_text(record: logging.LogRecord) -> str:
    """Return the text of a record; also of one whose arguments do not fit."""
    try:
        return text_of(record.getMessage())
    except Exception as error:  # noqa: BLE001 - whatever the arguments raise
        return f"{text_of(record.msg)} (its arguments do not fit: {text_of(error)})"


def raised_text(record: logging.LogRecord) -> str:
    """Return class and text of the error that was logged, by log.exception(); empty if there is none."""
    if record.exc_info and record.exc_info[1] is not None:
        return f"{type(record.exc_info[1]).__name__}: {text_of(record.exc_info[1])}"[:_LONGEST]
    return str(getattr(record, RAISED, ""))


def _packed(record: logging.LogRecord) -> logging.LogRecord:
    plain: dict[str, object] = {name: value for name, value in vars(record).items() if isinstance(value, _PLAIN)}
    plain |= {TEMPLATE: clean(record.msg, _LONGEST), "msg": clean(message_text(record), _LONGEST), "args": None}
    if (data := getattr(record, DATA, None)) is not None:
        plain[DATA] = {name_of(key, _LONGEST): _plain(value) for key, value in [*data.items()][:_MOST_DATA]}
    if record.exc_info and record.exc_info[1] is not None:
        text = record.exc_text or _EXCEPTIONS.formatException(record.exc_info)
        plain |= {"exc_text": clean(text, _LONGEST, keep_end=True), RAISED: raised_text(record)}
    return logging.makeLogRecord(plain)


def _plain(value: object) -> object:
    return value if isinstance(value, _PLAIN) and not isinstance(value, str) else text_of(value)[:_LONGEST]


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
