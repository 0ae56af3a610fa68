"""What crosses from a worker to the pytest process: pickled, bounded, and of plain data.

A value stays pickled until the process that runs the test's assertions needs it: the pytest process never opens what a
peer has sent.
"""

import contextlib
import logging
import os
import pickle
import select
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from healthchecks.plugin.metric import Metric
from healthchecks.plugin.outcome import is_broken
from healthchecks.plugin.peer import PeerRecord
from healthchecks.plugin.probes.error_record import ErrorRecord
from healthchecks.plugin.probes.job import ProbeJob
from healthchecks.plugin.probes.job_output import pack_records
from healthchecks.plugin.result import Attachment, CheckError, clean, fitting, text_of
from servermonitoring.values import size_in_words

DETAILS = "healthchecks_details"  # of an error: its traceback, as a text
_LARGEST_VALUE = 16_000_000  # bytes, pickled
_LARGEST = 100_000_000  # of a whole message
_LONGEST_DETAILS = 100_000  # characters
_LONGEST_OUTPUT = 100_000
_LENGTH = struct.Struct("<I")
_FOREIGN = (str(Path(__file__).parents[1]), "/_pytest/", "/pluggy/", "/threading.py")


@dataclass
class Message:
    """What came of a job."""

    job: int
    started: float
    ended: float
    value: bytes = b""
    """Pickled."""
    error: ErrorRecord | None = None
    details: str = ""
    """The error's traceback, for the author of the check."""
    is_overdue: bool = False
    lacked_descriptors: bool = False
    """Its process had none left, whichever of its jobs has them."""
    records: list[logging.LogRecord] = field(default_factory=list)
    attachments: tuple[Attachment, ...] = ()
    metrics: tuple[Metric, ...] = ()
    peer: PeerRecord | None = None
    output: dict[str, str] = field(default_factory=dict)
    properties: list[tuple[str, object]] = field(default_factory=list)
    """What a test has recorded for JUnit."""
    extras: list[Any] = field(default_factory=list)
    """What it has added to its row of pytest-html's table."""

    def unpack_into(self, job: ProbeJob) -> None:
        """Give the job of the pytest process what came of it; its value stays pickled."""
        job.started, job.is_overdue = self.started, self.is_overdue
        job.records, job.attachments, job.output = self.records, [*self.attachments], self.output
        job.metrics, job.peer = [*self.metrics], self.peer
        if job.end(self.value, self.restored_error()):
            job.ended = self.ended

    def restored_error(self) -> BaseException | None:
        """Return what the call raised, with its traceback as a text; None if it raised nothing."""
        if self.error is None:
            return None
        error = self.error.restore()
        with contextlib.suppress(AttributeError, TypeError):  # a class that allows no attribute
            setattr(error, DETAILS, self.details)
        return error

    def raise_error(self) -> None:
        """Raise what the call raised, if it raised something."""
        if error := self.restored_error():
            raise error


def message_of(number: int, job: ProbeJob) -> Message:
    """Return what came of a job that is done."""
    message = Message(number, job.started or 0.0, job.ended or 0.0, is_overdue=job.is_overdue)
    message.records = [*pack_records(job.records)]
    message.attachments, message.metrics = fitting([*job.attachments]), tuple(job.metrics)
    message.peer = job.peer
    message.output = {name: clean(text, _LONGEST_OUTPUT) for name, text in job.output.items()}
    error = job.harmless_error()
    if error is None:
        try:
            message.value = _pack_value(job.name, job.value)
        except CheckError as unfit:
            error = unfit
    if error is not None:
        message.error, message.details = ErrorRecord.of(error), traceback_of(error)
    return message


def value_of_bytes(value: bytes) -> Any:
    """Return the value of a probe, in the process that runs the test."""
    return pickle.loads(value)  # noqa: S301 - of a process of this run


def _pack_value(name: str, value: object) -> bytes:
    try:
        packed = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # noqa: BLE001 - whatever an author's value does when it is pickled
        why = text_of(error) or type(error).__name__
        raise CheckError(
            f"{name} returned a {type(value).__name__}, which cannot be pickled ({why}): "
            "return plain data, since probes run in another process"
        ) from None
    if len(packed) > _LARGEST_VALUE:
        raise CheckError(
            f"{name} returned a value of {size_in_words(len(packed))}, {size_in_words(_LARGEST_VALUE)} are the most: "
            "return what the test needs of it"
        )
    return packed


def traceback_of(error: BaseException) -> str:
    """Return the traceback for the author of a check: without the frames of pytest and this plugin."""
    if error.__traceback__ is None or not is_broken(error):
        return ""
    return short_traceback(pytest.ExceptionInfo.from_exception(error))


def short_traceback(excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    own = excinfo.traceback.filter(lambda entry: not any(each in str(entry.path) for each in _FOREIGN))
    excinfo.traceback = own if len(own) else excinfo.traceback
    return clean(str(excinfo.getrepr(style="short")), _LONGEST_DETAILS, keep_end=True)


def framed(content: object) -> bytes:
    """Return a pickled object with its length before it."""
    data = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def readable(sources: Sequence[int], seconds: float) -> set[int]:
    """Return the descriptors that can be read, or have come to their end, after waiting for the first one."""
    poller = select.poll()
    for each in sources:
        poller.register(each, select.POLLIN)
    return {each for each, _ in poller.poll(seconds * 1000)}


class Reader:
    """Puts messages together from what arrives of them."""

    def __init__(self) -> None:
        self._data = bytearray()

    def read(self, descriptor: int) -> list[Any] | None:
        """Return the objects that are complete now; None at the end. Raise ValueError for what is no message."""
        try:
            data = os.read(descriptor, 1 << 18)
        except BlockingIOError:
            return []
        except OSError:  # reset
            return None
        if not data:
            return None
        self._data += data
        return [*self._complete()]

    def _complete(self) -> Iterator[Any]:
        while len(self._data) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data)
            if length > _LARGEST:
                raise ValueError("a message that is too long")
            end = _LENGTH.size + length
            if len(self._data) < end:
                return
            content = pickle.loads(bytes(self._data[_LENGTH.size : end]))  # noqa: S301 - of a process of this run
            del self._data[:end]
            yield content
