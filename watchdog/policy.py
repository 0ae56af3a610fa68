"""Policy: rules, whether a browser violates a limit of its rule, and when to scan again. Pure functions."""

import functools
import math
import re
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from servermonitoring.values import in_words, size_in_words


class Rule(NamedTuple):
    """One table [watchdog.NAME]. A limit of None is none."""

    name: str = "firefox"
    process: str = "firefox"  # regular expression for the whole name of the browser's main process
    command: str = ""  # regular expression found in its command line
    user: int | None = None  # uid; None is any user
    automated_only: bool = False  # only browsers that a program drives
    max_memory: int | None = 1_200_000_000  # bytes
    validated_within: float | None = 180.0  # seconds after the start
    revalidated_every: float | None = 180.0  # seconds
    grace: float = 2.0  # seconds between SIGTERM and SIGKILL

    def names(self, name: str) -> bool:
        """Return whether a process of this name may be a browser's main process."""
        return _pattern(self.process).fullmatch(name) is not None

    def matches(self, uid: int, arguments: list[str]) -> bool:
        """Return whether the rule applies to a process of this user and command line, if it has the name."""
        if self.user is not None and uid != self.user:
            return False
        if self.automated_only and not is_automated(arguments):
            return False
        return not self.command or re.search(self.command, " ".join(arguments)) is not None


DEFAULT = Rule()


@functools.cache
def _pattern(process: str) -> re.Pattern[str]:
    """Return the pattern of a name, with the suffixes that distributions append."""
    return re.compile(f"(?:{process})(?:-esr|-bin)?")


_AUTOMATED = re.compile(
    r"--?(?:marionette|headless|enable-automation|test-type=webdriver|remote-debugging-(?:pipe|port))(?:=.*)?"
)


def is_automated(arguments: list[str]) -> bool:
    """Return whether the command line is that of a browser driven by a program."""
    return any(_AUTOMATED.fullmatch(argument) for argument in arguments[1:])


_PART = re.compile(r" (?:--type=|-contentproc\b)")


def is_part(arguments: list[str]) -> bool:
    """Return whether the command line is that of a part of a browser, such as a tab."""
    return _PART.search(" ".join(arguments)) is not None


class Reason(Enum):
    MEMORY = "memory"
    NEVER_VALIDATED = "never validated"
    SILENT = "silent"


class Facts(NamedTuple):
    """What is known about a browser at one moment. Times are seconds of uptime."""

    started_at: float
    memory: int  # bytes
    validated_at: float | None
    excused_until: float = 0.0  # until then nobody could validate, or no validation could be read
    read_at: float = math.inf  # when its validation records were last read


class Violation(NamedTuple):
    """Why a browser must be killed."""

    reason: Reason
    message: str


def find_violation(facts: Facts, rule: Rule, now: float) -> Violation | None:
    """Return why the browser must be killed; None if it keeps its limits."""
    if rule.max_memory is not None and facts.memory > rule.max_memory:
        words = f"{size_in_words(facts.memory)} of memory used, maximum {size_in_words(rule.max_memory)}"
        return Violation(Reason.MEMORY, words)
    due = due_at(facts, rule)
    if due is None or now < due:
        return None
    if facts.validated_at is None:
        words = f"never validated, started {in_words(now - facts.started_at)} ago"
        return Violation(Reason.NEVER_VALIDATED, f"{words}, maximum {in_words(rule.validated_within or 0)}")
    words = f"last validated {in_words(now - facts.validated_at)} ago"
    return Violation(Reason.SILENT, f"{words}, maximum {in_words(rule.revalidated_every or 0)}")


def due_at(facts: Facts, rule: Rule) -> float | None:
    """Return the uptime by which the browser must be validated again; None if never."""
    if facts.validated_at is None:
        since, allowed = facts.started_at, rule.validated_within
    else:
        since, allowed = facts.validated_at, rule.revalidated_every
    return None if allowed is None else max(since, facts.excused_until) + allowed


_FASTEST_GROWTH = 1_000_000_000  # bytes a second: twice the fastest growth observed in a browser
_SHORTEST = 0.02  # seconds between two scans, however near the limit
TERMINATION_STEP = 0.01  # seconds between two scans while a browser is being killed


def pause(browsers: Iterable[tuple[Facts, Rule]], now: float, longest: float) -> float:
    """Return the seconds until the next scan."""
    return min([longest, *(max(_SHORTEST, _needed(facts, rule, now)) for facts, rule in browsers)])


def _needed(facts: Facts, rule: Rule, now: float) -> float:
    times = []
    if rule.max_memory is not None:
        times.append((rule.max_memory - facts.memory) / _FASTEST_GROWTH)
    due = due_at(facts, rule)
    if due is not None:
        times.append(due - now)
    if facts.validated_at is None and rule.revalidated_every is not None:  # it may have been validated since
        times.append(facts.read_at + rule.revalidated_every - now)
    return min(times, default=float("inf"))
