"""The host: memory, swap and load; if configured its failed units, clock, security updates and restart.

Memory, swap and load are checked with the defaults where there is no [host] table.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field

from healthchecks import Duration, Percentage, Target, metric, probe
from healthchecks.clients.clock import ClockState, read_clock
from healthchecks.clients.debian import WaitingUpdates, read_required_restart, read_updates
from healthchecks.clients.systemd import read_failed_units
from servermonitoring.values import counted, in_words, part_in_words, percent, percent_limit

_KEYS = {  # test: the key without which it is left out
    "test_host_units": "max_failed_units",
    "test_host_clock": "max_clock_offset",
    "test_host_updates": "max_security_updates",
    "test_host_restart": "reboot_required",
}
_MOST_NAMED = 10  # units or packages in a message


class Host(Target):
    single: ClassVar[bool] = True
    local: ClassVar[bool] = True

    min_memory_available: Percentage = 0.05
    """Minimum share of memory that programs can get without swapping."""
    max_swap_used: Percentage = 0.9
    """Maximum share of swap space used, where there is any."""
    max_load_per_core: float = Field(default=4.0, gt=0, le=10_000)
    """Maximum load per core, averaged over 15 minutes."""
    max_failed_units: int | None = Field(default=None, ge=0, le=10_000)
    """Maximum number of failed systemd units; not checked without the key."""
    max_clock_offset: Duration | None = Field(default=None, gt=0, le=86_400)
    """Maximum offset of the clock from its time servers; one that is not synchronised fails. Not checked without the
    key."""
    max_security_updates: int | None = Field(default=None, ge=0, le=100_000)
    """Maximum number of security updates that wait, on Debian and Ubuntu; not checked without the key."""
    reboot_required: Literal[False] | None = None
    """`false`: updated packages must not require a restart of the machine, on Debian and Ubuntu; not checked without
    the key."""

    @classmethod
    def defaults(cls) -> dict[str, Self]:
        return {"": cls()}

    def is_checked_by(self, test: str) -> bool:
        return test not in _KEYS or getattr(self, _KEYS[test]) is not None


@dataclass(frozen=True)
class Vitals:
    """Sizes in bytes; `load` is the average over 15 minutes of one core."""

    memory: int
    available: int
    swap: int
    swap_used: int
    load: float


@probe
def vitals(host: Host) -> Vitals:  # noqa: ARG001 - the numbers do not depend on the target
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    cores = len(os.sched_getaffinity(0))
    return Vitals(memory.total, memory.available, swap.total, swap.used, os.getloadavg()[2] / cores)


def test_host_memory(host: Host, vitals: Vitals) -> None:
    sizes = part_in_words(vitals.available, vitals.memory)
    share = vitals.available / vitals.memory
    metric("used", 1 - share, "ratio", limit=1 - host.min_memory_available)
    metric("available", vitals.available, "bytes")
    assert share >= host.min_memory_available, (
        f"{percent(share)} of memory available ({sizes}), minimum {percent_limit(host.min_memory_available)}"
    )


def test_host_swap(host: Host, vitals: Vitals) -> None:
    share = vitals.swap_used / vitals.swap if vitals.swap else 0.0
    sizes = part_in_words(vitals.swap_used, vitals.swap)
    if vitals.swap:
        metric("used", share, "ratio", limit=host.max_swap_used)
        metric("free", vitals.swap - vitals.swap_used, "bytes")
    assert share <= host.max_swap_used, (
        f"{percent(share)} of swap used ({sizes}), maximum {percent_limit(host.max_swap_used)}"
    )


def test_host_load(host: Host, vitals: Vitals) -> None:
    metric("load", vitals.load, limit=host.max_load_per_core)
    assert vitals.load <= host.max_load_per_core, (
        f"load of {vitals.load:.1f} per core over 15 min, maximum {host.max_load_per_core:g}"
    )


@probe
def failed_units(host: Host) -> tuple[str, ...]:  # noqa: ARG001 - of the whole machine
    return read_failed_units()


def test_host_units(host: Host, failed_units: tuple[str, ...]) -> None:
    limit = host.max_failed_units or 0
    metric("failed units", len(failed_units), limit=limit)
    assert len(failed_units) <= limit, (
        f"{counted(len(failed_units), 'failed unit')}, maximum {limit}: {_list(failed_units)}"
    )


@probe
def clock(host: Host) -> ClockState:  # noqa: ARG001 - of the whole machine
    return read_clock()


def test_host_clock(host: Host, clock: ClockState) -> None:
    assert clock.offset is not None, f"the clock is not synchronised, says {clock.service}"
    limit, offset = host.max_clock_offset or 0.0, abs(clock.offset)
    metric("clock offset", offset, "seconds", limit=limit)
    direction = "ahead" if clock.offset > 0 else "behind"
    assert offset <= limit, (
        f"the clock is {in_words(offset)} {direction}, says {clock.service}, maximum {in_words(limit)}"
    )


@probe
def updates(host: Host) -> WaitingUpdates:  # noqa: ARG001 - of the whole machine
    return read_updates()


def test_host_updates(host: Host, updates: WaitingUpdates) -> None:
    limit = host.max_security_updates or 0
    metric("security updates", updates.security_count, limit=limit)
    metric("updates", updates.count)
    assert updates.security_count <= limit, (
        f"{counted(updates.security_count, 'security update')} waiting, maximum {limit}: "
        f"{_list(updates.security, updates.security_count)}"
    )


@probe
def required_by(host: Host) -> tuple[str, ...] | None:  # noqa: ARG001 - of the whole machine
    """Return the packages that require a restart; None without such a need."""
    return read_required_restart()


def test_host_restart(host: Host, required_by: tuple[str, ...] | None) -> None:  # noqa: ARG001 - has one value only
    metric("restart required", int(required_by is not None), limit=0)
    by = f" by {_list(required_by)}" if required_by else ""
    assert required_by is None, f"a restart of the machine is required{by}"


def _list(names: Sequence[str], count: int | None = None) -> str:
    more = (len(names) if count is None else count) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
