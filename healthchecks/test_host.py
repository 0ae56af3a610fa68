"""The machine itself: memory, swap and load. Checked with its defaults when there is no [host] table."""

import os
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import Field

from healthchecks import Percentage, Target, probe
from servermonitoring.values import size_in_words


class Host(Target):
    single: ClassVar[bool] = True
    local: ClassVar[bool] = True

    available: Percentage = 0.05
    """Least memory that must be available, of all: what programs can get without swapping."""
    swap: Percentage = 0.9
    """Most swap space that may be used, where there is any."""
    load: float = Field(default=4.0, gt=0, le=10_000)
    """Highest load for each core, averaged over 15 minutes."""

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
def vitals(host: Host) -> Vitals:  # noqa: ARG001 - it is of this machine, whatever the limits
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    cores = len(os.sched_getaffinity(0))
    return Vitals(memory.total, memory.available, swap.total, swap.used, os.getloadavg()[2] / cores)


def test_host_memory(host: Host, vitals: Vitals) -> None:
    sizes = f"{size_in_words(vitals.available)} of {size_in_words(vitals.memory)}"
    share = vitals.available / vitals.memory
    assert share >= host.available, f"{share:.1%} of the memory is available ({sizes}), at least {host.available:.1%}"


def test_host_swap(host: Host, vitals: Vitals) -> None:
    share = vitals.swap_used / vitals.swap if vitals.swap else 0.0
    sizes = f"{size_in_words(vitals.swap_used)} of {size_in_words(vitals.swap)}"
    assert share <= host.swap, f"{share:.1%} of the swap space is used ({sizes}), at most {host.swap:.1%}"


def test_host_load(host: Host, vitals: Vitals) -> None:
    assert vitals.load <= host.load, f"load of {vitals.load:.1f} for each core over 15 min, at most {host.load:g}"
