"""A rule: which browsers it applies to, and their limits."""

import functools
import re
from typing import NamedTuple


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
