"""Offset of the system clock, from chrony by `chronyc tracking` or from systemd-timesyncd by `timedatectl`.

chronyc(1) has the fields of its report, timedatectl(1) the units of its offset. Neither changes the clock.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from healthchecks import CheckError
from healthchecks.clients.command import CommandOutput, run_command

_STRATUM, _SLOW_BY, _LEAP = 2, 4, 13  # places in the report of chronyc -c tracking
_UNKNOWN_STRATUM = 16
_TIMESYNC_OFFSET = re.compile(r"^\s*Offset: ([+-]?)((?:\d+(?:\.\d+)?(?:us|ms|s|min|h|d)\s?)+)$", re.MULTILINE)
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|min|h|d)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 200  # characters of what a program says


@dataclass(frozen=True)
class ClockState:
    """What a time service says of the clock."""

    service: str
    offset: float | None
    """Seconds by which the clock is ahead of its sources, negative if it is behind; None if it is not synchronised."""


def read_clock() -> ClockState:
    """Return the state by chrony, else by systemd-timesyncd. Raise CheckError if neither can be asked."""
    said = []
    for ask in (_ask_chrony, _ask_timesyncd):
        try:
            return ask()
        except CheckError as error:
            said.append(str(error))
    raise CheckError(f"no time service can be asked: {'; '.join(said)}")


def _ask_chrony() -> ClockState:
    return parse_tracking(_output("chronyc", "-n", "-c", "tracking"))


def _ask_timesyncd() -> ClockState:
    is_synchronised = _output("timedatectl", "show", "--property=NTPSynchronized", "--value").strip() == "yes"
    status = _output("timedatectl", "timesync-status")
    return parse_timesync_status(status, is_synchronised=is_synchronised)


def parse_tracking(text: str) -> ClockState:
    """Return the state in a report of `chronyc -c tracking`. Raise CheckError for another text."""
    fields = text.strip().split(",")
    try:
        stratum, offset = int(fields[_STRATUM]), float(fields[_SLOW_BY])
        leap = fields[_LEAP]
    except (IndexError, ValueError):
        raise CheckError(f"chronyc: no report of tracking: {text.strip()[:_LONGEST]!r}") from None
    is_known = 0 < stratum < _UNKNOWN_STRATUM and leap != "Not synchronised" and abs(offset) < 1e12  # noqa: PLR2004 - finite
    return ClockState("chrony", -offset if is_known else None)


def parse_timesync_status(text: str, *, is_synchronised: bool) -> ClockState:
    """Return the state in what `timedatectl timesync-status` writes."""
    found = _TIMESYNC_OFFSET.search(text)
    if not (found and is_synchronised):
        return ClockState("systemd-timesyncd", None)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(found[2]))
    return ClockState("systemd-timesyncd", -seconds if found[1] == "-" else seconds)


def _output(name: str, *arguments: str) -> str:
    """Return what a program writes. Raise CheckError where it is missing or fails."""
    if not (program := shutil.which(name)):
        raise CheckError(f"{name} is not on the PATH")
    output = run_command([program, *arguments], {"SYSTEMD_PAGER": ""}, Path("/"))
    if output.exit_status:
        raise CheckError(f"{name}: {_reason(output)}")
    return output.text


def _reason(output: CommandOutput) -> str:
    said = output.errors.strip() or output.text.strip() or f"exit status {output.exit_status}"
    return said.splitlines()[0][:_LONGEST]
