"""The record of one check that every output receives: status, log lines, attachments, metrics."""

import enum
import math
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import PurePath
from typing import Any

from healthchecks.plugin.metric import Metric
from healthchecks.plugin.peer import PeerRecord
from healthchecks.plugin.silence import Silence
from servermonitoring.scrubbing import FILTERED, is_sensitive, scrub_and_cut
from servermonitoring.values import size_in_words

_SURROGATE = re.compile(r"[\ud800-\udfff]")  # half a character, as JSON's "\ud800": no UTF-8 can be made of it


def text_of(value: object) -> str:
    """Return str(value), or what can be said of a value that refuses to be a text. Raises nothing."""
    try:
        return str.__str__(value if isinstance(value, str) else str(value))
    except BaseException as error:  # noqa: BLE001 - the value is a check's, and so is what its __str__ does
        return f"<{type(value).__name__}, whose text cannot be made: {type(error).__name__}>"


def valid(text: str) -> str:
    """Return the text with U+FFFD in place of what is no character."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def clean(value: object, longest: int, *, keep_end: bool = False) -> str:
    """Return the value as a text of at most `longest` characters that may be stored, shown and sent."""
    text = text_of(value)
    return scrub_and_cut(valid(text), longest, keep_end=keep_end) if text else ""


def name_of(value: object, longest: int) -> str:
    """Return the value as a text by which things are known, and which is therefore never scrubbed."""
    return valid(text_of(value))[:longest]


def with_place(error: BaseException) -> str:
    """Return the kind of an error that has no text, and where it was raised: SystemExit (test_backup.py, line 12)."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} ({PurePath(frames[-1].filename).name}, line {frames[-1].lineno})"


LARGEST = 2_000_000  # bytes of one attachment: a page with them must still open on a phone
MOST = 10_000_000  # bytes of all of one check: with them an alert still fits into one delivery
_LONGEST_TITLE = 200  # characters
_NAMED = 50  # attachments that are named as left out


@dataclass(frozen=True)
class Attachment:
    """One picture or text of a probe."""

    name: str
    content: bytes
    media_type: str

    @property
    def is_picture(self) -> bool:
        return self.media_type.startswith("image/")


def fitting(attachments: Iterable[Attachment]) -> tuple[Attachment, ...]:
    """Return those that fit into MOST bytes, cleaned; a last one says which were left out."""
    kept: list[Attachment] = []
    left_out: list[Attachment] = []
    room = MOST
    for each in map(_cleaned, attachments):
        fits = len(each.content) <= room
        (kept if fits else left_out).append(each)
        room -= len(each.content) if fits else 0
    if left_out:
        kept.append(_note_of(left_out))
    return tuple(kept)


def _cleaned(attachment: Attachment) -> Attachment:
    name, media_type = clean(attachment.name, _LONGEST_TITLE), clean(attachment.media_type, _LONGEST_TITLE)
    content = attachment.content
    if not attachment.is_picture:
        content = clean(content.decode(errors="replace"), LARGEST).encode()[:LARGEST].decode(errors="ignore").encode()
    return replace(attachment, name=name, content=content, media_type=media_type)


def _note_of(left_out: list[Attachment]) -> Attachment:
    lines = [f"{each.name}: {size_in_words(len(each.content))}" for each in left_out[:_NAMED]]
    text = f"{len(left_out)} attachments left out: {size_in_words(MOST)} are the most for one check\n"
    return Attachment("left out", (text + "\n".join(lines)).encode(), "text/plain")


_LONGEST_NAME = 500  # characters
_LONGEST_LINE = 2_000  # of a message
_LONGEST_LOG = 8_000  # of one line of the log
_LONGEST_DETAILS = 100_000
_MOST_LINES = 1_000  # of the log of one check
_MOST_DATA = 50  # values of one message


class Status(enum.StrEnum):
    """FAILED says that the service is bad, ERROR that the check itself is broken."""

    OK = "ok"
    SLOW = "slow"
    FAILED = "failed"
    ERROR = "error"
    BLOCKED = "blocked"
    SKIPPED = "skipped"

    @property
    def is_failure(self) -> bool:
        return self in (Status.FAILED, Status.ERROR)

    @property
    def is_passing(self) -> bool:
        return self in (Status.OK, Status.SLOW)


class Unhealthy(Exception):  # noqa: N818 - it names a state, as the checks' own words do
    """The service is bad, and this text says how: raised by a probe, shown without a traceback."""


class ProbeTimeout(Unhealthy):
    """The target did not respond before its timeout; without a text, in the words of `healthchecks.phase()`."""


class CheckError(Exception):
    """The check itself is broken, and this text says how: for its author, instead of a traceback."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details or message


class NotProbed(Exception):  # noqa: N818 - a state of the run, not of the target
    """The run ended before this target's turn came."""


@dataclass(frozen=True)
class LogLine:
    """What a check or its probe logged or sent by capture_message(); scrubbed."""

    time: float
    """Unix seconds."""
    level: int
    """As in logging: 40 is ERROR."""
    logger: str
    text: str
    template: str = ""
    """The text without its values: the same for the same cause."""
    is_message: bool = False
    """Given to healthchecks.capture_message(), to be sent on its own."""
    data: Mapping[str, Any] = field(default_factory=dict)
    is_repeated: bool = False
    """Logged by a probe that several checks share, and kept for another of them already."""

    def __post_init__(self) -> None:
        set_clean = partial(object.__setattr__, self)
        set_clean("logger", name_of(self.logger, _LONGEST_NAME))
        set_clean("text", clean(self.text, _LONGEST_LOG))
        set_clean("template", clean(self.template, _LONGEST_LOG))
        set_clean("data", dict(_datum(*each) for each in [*self.data.items()][:_MOST_DATA]))


def _datum(key: object, value: object) -> tuple[str, str]:
    name = name_of(key, _LONGEST_NAME)
    return name, FILTERED if is_sensitive(name) else clean(value, _LONGEST_LOG)


@dataclass(frozen=True)
class Result:
    """One check of one target in one run, for people and sinks; no text in it holds a secret."""

    check: str
    """The test's name without `test_`: website_access."""
    target: str
    """The NAME of [kind.NAME]; the parameters of a test without target, or empty."""
    label: str
    """Check and target for people: website[home]."""
    status: Status
    message: str
    """One line for a person on call; for a check that is ok, only the message that a retry replaced."""
    duration: float
    """What the probe took, in seconds."""
    started: datetime
    """When it began, in UTC."""
    host: str
    group: str = ""
    maintenance: bool = False
    silence: Silence | None = None
    """Until when it is silenced, by which user and why."""
    details: str = ""
    """The traceback of a check with status error; empty for one that failed."""
    kind: str = ""
    """The class of error: ProbeTimeout, AssertionError; empty if there is none."""
    failure_threshold: int = 1
    """Failures in a row before an alert."""
    success_threshold: int = 1
    """Passing runs in a row after which an alerted failure is over."""
    severity: str = "critical"
    """How urgent a failure is: "critical" or "warning"."""
    runbook: str = ""
    """What to do when it fails: a text or a URL."""
    local: bool = False
    """About this machine: what fails on another host is another issue."""
    log: Sequence[LogLine] = ()
    attachments: Sequence[Attachment] = ()
    metrics: Sequence[Metric] = ()
    """The first one is the main one."""
    peer: PeerRecord | None = None
    """The other server that the check is about."""
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_clean = partial(object.__setattr__, self)
        for name in ("check", "target", "label", "host", "group", "kind"):
            set_clean(name, name_of(getattr(self, name), _LONGEST_NAME))
        set_clean("message", clean(self.message, _LONGEST_LINE))
        set_clean("runbook", clean(self.runbook, _LONGEST_LINE))
        set_clean("details", clean(self.details, _LONGEST_DETAILS, keep_end=True))
        set_clean("duration", float(self.duration) if math.isfinite(self.duration) else 0.0)
        set_clean("log", tuple(self.log)[:_MOST_LINES])
        set_clean("attachments", fitting(self.attachments))
        set_clean("metrics", tuple(self.metrics))
        extras = {key: valid(value) if isinstance(value, str) else value for key, value in self.extras.items()}
        set_clean("extras", extras)

    @property
    def key(self) -> tuple[str, str]:
        """What the check is known by, in history and alerts."""
        return self.check, self.target
