"""Memory, swap and load of this machine. Checked with the defaults where there is no [host] table."""

import os
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import Field

from healthchecks import Percentage, Target, metric, probe
from servermonitoring.values import part_in_words, percent, percent_limit


class Host(Target):
    single: ClassVar[bool] = True
    local: ClassVar[bool] = True

    min_memory_available: Percentage = 0.05
    """Minimum share of memory that programs can get without swapping."""
    max_swap_used: Percentage = 0.9
    """Maximum share of swap space used, where there is any."""
    max_load_per_core: float = Field(default=4.0, gt=0, le=10_000)
    """Maximum load per core, averaged over 15 minutes."""

    @classmethod
    def defaults(cls) -> dict[str, Self]:
        return {"": cls()}


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
