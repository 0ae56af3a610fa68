"""What a test's report says about the service: a status, and one line that a person understands."""

import errno
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from _pytest.outcomes import OutcomeException

from healthchecks.plugin.result import CheckError, NotProbed, Status, Unhealthy
from healthchecks.plugin.text import clean, text_of
from servermonitoring.values import in_words

if TYPE_CHECKING:
    from healthchecks.plugin.target import Target

_LONGEST = 2_000  # characters of a message
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BROKEN = (
    ArithmeticError, AttributeError, CheckError, ImportError, LookupError, NameError, NotImplementedError, NotProbed,
    RecursionError, SyntaxError, TypeError, MemoryError, Warning,
)  # fmt: skip
"""What a mistake in the check raises, not a bad service."""
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True)
class Verdict:
    status: Status
    message: str = ""


def verdict(report: pytest.TestReport, error: BaseException | None, target: "Target | None") -> Verdict:
    """From one phase's report; `error` is what was raised in it."""
    if report.outcome == "skipped":
        return Verdict(Status.SKIPPED, _skip_reason(report, error))
    if report.outcome == "failed":
        if error is None:  # pytest's own judgement: an xfail that is strict, and passes
            return Verdict(Status.ERROR, _one_line(report.longrepr))
        broken = report.when != "call" or is_broken(error)
        return Verdict(Status.ERROR if broken else Status.FAILED, describe(error))
    slow = target.slow if target else None
    if slow is not None and report.duration > slow:
        return Verdict(Status.SLOW, f"took {in_words(report.duration)}, more than {in_words(slow)}")
    return Verdict(Status.OK)


def is_broken(error: BaseException) -> bool:
    """Whether this is a fault of the check itself, or of the machine that it runs on."""
    ends_process = not isinstance(error, Exception | OutcomeException)
    return ends_process or isinstance(error, _BROKEN) or getattr(error, "errno", None) in _NO_DESCRIPTORS


def describe(error: BaseException) -> str:
    """One line, without secrets: the check's own words, or the kind of error with its text."""
    text = text_of(error)
    if isinstance(error, AssertionError):
        text = _assertion(text)
    elif not isinstance(error, Unhealthy | CheckError | NotProbed | pytest.fail.Exception):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return _one_line(text)


def printable(text: str) -> str:
    """Without the characters by which a text from the other side would rule the terminal."""
    return _CONTROL.sub("\ufffd", text)


def _assertion(text: str) -> str:
    """The message of `assert …, message`, to which pytest adds the comparison; else the comparison alone."""
    message, _, comparison = text.partition("\nassert ")
    return message if comparison else text or "assertion failed, without a message"


def _skip_reason(report: pytest.TestReport, error: BaseException | None) -> str:
    """Why it was skipped, or is expected to fail: not pytest's view of it, which is the test's source."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        why = _one_line(expected) or (describe(error) if error else "")
        return f"expected to fail: {why}" if why else "expected to fail"
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr or ""
    return clean(text_of(reason).removeprefix("Skipped: "), _LONGEST)


def _one_line(text: object) -> str:
    return printable(" ".join(clean(text, _LONGEST).split()))
