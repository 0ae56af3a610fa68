"""End of a run, sent by the suite to the scheduled command through a pipe, which needs no disk."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from servermonitoring.scrubbing import scrub

VARIABLE = "SERVERMONITORING_COMPLETION"  # the number of the pipe's writing end
_LONGEST = 1000  # characters of one problem

_descriptor: int | None = None


@dataclass(frozen=True)
class Completion:
    """A run that has recorded its end."""

    status: int
    """pytest's exit status."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Part of the suite → why it could not store, show or send its results."""

    @classmethod
    def parse(cls, data: bytes) -> "Completion | None":
        """Return what was sent; None if it is incomplete."""
        try:
            document = json.loads(data)
            return cls(int(document["status"]), {str(key): str(text) for key, text in document["problems"].items()})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def claim() -> None:
    """Remove the pipe from the environment, so that no process of a check holds it open."""
    global _descriptor  # noqa: PLW0603 - a process has one such pipe
    number = os.environ.pop(VARIABLE, "")
    if not number.isdecimal():
        return
    try:
        if stat.S_ISFIFO(os.fstat(int(number)).st_mode):
            os.set_inheritable(int(number), False)
            _descriptor = int(number)
    except (OSError, OverflowError):
        return


def announce(status: int, problems: Mapping[str, str]) -> None:
    """Send the end of the run, once; do nothing without a pipe."""
    global _descriptor  # noqa: PLW0603
    if _descriptor is None:
        return
    texts = {part: scrub(text)[:_LONGEST] for part, text in problems.items()}
    try:
        os.write(_descriptor, json.dumps({"status": status, "problems": texts}).encode())
        os.close(_descriptor)
    except OSError:  # the command is gone
        pass
    _descriptor = None
