"""The status of a check, and the line about it that a person reads, from the report of its test."""

import difflib
import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from healthchecks.plugin.configuration.loader import loaded_kinds
from healthchecks.plugin.probes.fixture import probe_of
from healthchecks.plugin.result import CheckError, NotProbed, Status, Unhealthy, clean, text_of
from servermonitoring.values import in_words

if TYPE_CHECKING:
    from healthchecks.plugin.configuration.target import Target


_LONGEST = 2_000  # characters of a message
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BROKEN = (
    ArithmeticError, AttributeError, CheckError, ImportError, LookupError, NameError, NotImplementedError, NotProbed,
    RecursionError, SyntaxError, TypeError, MemoryError, Warning,
)  # fmt: skip
"""Raised by a mistake in the check, not by a bad service."""
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True)
class CheckOutcome:
    status: Status
    message: str = ""


_OK = CheckOutcome(Status.OK)


def outcome_of(report: pytest.TestReport, error: BaseException | None, target: "Target | None") -> CheckOutcome:
    """Return the outcome of one phase of the test; `error` is what was raised in it."""
    if report.outcome == "skipped":
        return CheckOutcome(Status.SKIPPED, _skip_reason(report, error))
    if report.outcome == "failed":
        if error is None:  # pytest decides: a strict xfail that passes
            return CheckOutcome(Status.ERROR, _one_line(report.longrepr))
        is_error = report.when != "call" or is_broken(error)
        return CheckOutcome(Status.ERROR if is_error else Status.FAILED, describe(error))
    slow = target.slow if target else None
    if slow is not None and report.duration > slow:
        return CheckOutcome(Status.SLOW, f"took {in_words(report.duration)}, more than {in_words(slow)}")
    return _OK


def is_broken(error: BaseException) -> bool:
    """Return whether this is a fault of the check itself, or of the machine it runs on."""
    ends_process = not isinstance(error, Exception | pytest.skip.Exception | pytest.fail.Exception)
    return ends_process or isinstance(error, _BROKEN) or getattr(error, "errno", None) in _NO_DESCRIPTORS


def describe(error: BaseException) -> str:
    """Return one line without secrets: the message of the check, or the class of the error and its text."""
    text = text_of(error)
    if isinstance(error, AssertionError):
        text = _assertion(text)
    elif not isinstance(error, Unhealthy | CheckError | NotProbed | pytest.fail.Exception):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return _one_line(text)


def printable(text: str) -> str:
    """Replace control characters, by which a text of a peer could control the terminal."""
    return _CONTROL.sub("\ufffd", text)


def _assertion(text: str) -> str:
    """Return the message of `assert …, message`, without the comparison that pytest adds; else the comparison."""
    message, _, comparison = text.partition("\nassert ")
    return message if comparison else text or "assertion failed, without a message"


def _skip_reason(report: pytest.TestReport, error: BaseException | None) -> str:
    """Return why it was skipped or is expected to fail, without the source that pytest shows."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        why = _one_line(expected) or (describe(error) if error else "")
        return f"expected to fail: {why}" if why else "expected to fail"
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr or ""
    return clean(text_of(reason).removeprefix("Skipped: "), _LONGEST)


def _one_line(text: object) -> str:
    return printable(" ".join(clean(text, _LONGEST).split()))


def explained(error: BaseException | None, item: pytest.Item) -> BaseException | None:
    """Return the error; for a missing fixture, one line for the author of the check."""
    if not isinstance(error, pytest.FixtureLookupError) or error.argname is None or error.msg is not None:
        return error
    kinds = loaded_kinds()
    # A target becomes a fixture through the probe that asks for it: without the probe both are missing.
    name = next((each for each in _missing(item) if each not in kinds), error.argname)
    if name in kinds:
        what = f": ask for a probe of it as well, or name its class, {name}: {kinds[name].__name__}"
    else:
        what = _hint(name, item)
    return CheckError(f'{item.name} asks for "{name}", and there is no such fixture{what}')


def _missing(item: pytest.Item) -> Iterator[str]:
    for name in getattr(item, "fixturenames", ()):
        if name != "request" and name not in _parameters(item) and not _manager(item).getfixturedefs(name, item):
            yield name


def _hint(name: str, item: pytest.Item) -> str:
    every = _fixtures(item)
    if name in every:
        return f" in its file; import it: from {_module(every[name][-1])} import {name}"
    seen = [each for each in every if _manager(item).getfixturedefs(each, item)]
    probes = sorted(each for each in seen if any(probe_of(found.func) for found in every[each]))
    for likely in ([*probes, *_parameters(item)], seen):
        if close := difflib.get_close_matches(name, likely, n=1):
            return f'; did you mean "{close[0]}"?'
    return f"; probes of this file: {', '.join(probes)}" if probes else ""


def _fixtures(item: pytest.Item) -> dict[str, list[Any]]:
    """Return all fixtures of the session; none where another version of pytest keeps them elsewhere."""
    by_node: Mapping[str, Mapping[Any, list[Any]]] = getattr(_manager(item), "_arg2node2fixturedefs", {})
    return {name: [each for found in nodes.values() for each in found] for name, nodes in by_node.items()}


def _manager(item: pytest.Item) -> Any:
    return item.session._fixturemanager  # noqa: SLF001 - pytest has no public way


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    return getattr(getattr(item, "callspec", None), "params", {})


def _module(fixture: Any) -> str:
    return str(fixture.func.__module__)
