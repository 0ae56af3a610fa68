"""Asks systemd for the state of units, by `systemctl show` and `systemctl list-units`.

Properties are described in org.freedesktop.systemd1(5); their times are microseconds of the clock since boot.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from healthchecks import CheckError
from healthchecks.clients.command import run_command
from servermonitoring import clock

_PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "ExecMainCode", "ExecMainStatus", "NRestarts",
    "MemoryCurrent", "StateChangeTimestampMonotonic", "Triggers",
)  # fmt: skip
_LONGEST = 300  # characters of a value
_LARGEST = 2**63  # of a number: systemd writes 2**64 - 1 for one that it does not know
_KILLED = (2, 3)  # of ExecMainCode: CLD_KILLED and CLD_DUMPED of waitid(2)


@dataclass(frozen=True)
class UnitState:
    """The state of one unit."""

    name: str
    load: str
    """loaded, not-found, masked, bad-setting, error."""
    active: str
    """active, reloading, inactive, failed, activating, deactivating."""
    sub: str
    """The state in the words of its type: running, exited, waiting, auto-restart."""
    result: str
    """Of its last run: success, exit-code, signal, timeout, oom-kill."""
    exit_status: str
    """Of its main process, in words: "status 3", "signal 9"; empty if it has not failed."""
    age: float | None
    """Seconds since the state changed; None if it never did."""
    restarts: int
    memory: int | None
    """Bytes; None if systemd does not count them."""
    triggers: tuple[str, ...]
    """Units that it starts, if it is a timer, a socket or a path."""


def read_units(names: Sequence[str]) -> list[UnitState]:
    """Return the states of these units in their order. Raise CheckError where systemd cannot be asked."""
    if not names:
        return []
    output = _systemctl("show", f"--property={','.join(_PROPERTIES)}", "--", *names)
    blocks = [block for block in output.split("\n\n") if block.strip()]
    if len(blocks) != len(names):
        raise CheckError(f"systemctl show: {len(blocks)} units instead of {len(names)}")
    return [_state(name, block) for name, block in zip(names, blocks, strict=True)]


def read_failed_units() -> tuple[str, ...]:
    """Return the names of all units that have failed. Raise CheckError where systemd cannot be asked."""
    output = _systemctl("list-units", "--failed", "--all", "--full", "--plain", "--no-legend", "--no-pager")
    return tuple(line.split()[0][:_LONGEST] for line in output.splitlines() if line.strip())


def _systemctl(*arguments: str) -> str:
    """Return what it writes. Raise CheckError with what it says otherwise, ProbeTimeout."""
    if not (program := shutil.which("systemctl")):
        raise CheckError("systemctl is not on the PATH: this check needs systemd")
    output = run_command([program, *arguments], {"SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}, Path("/"))
    if output.exit_status:
        said = output.errors.strip() or output.text.strip() or f"exit status {output.exit_status}"
        raise CheckError(f"systemctl {arguments[0]}: {said.splitlines()[0][:_LONGEST]}")
    return output.text


def _state(name: str, block: str) -> UnitState:
    values = dict(line.partition("=")[::2] for line in block.splitlines())
    words = {key: value.strip()[:_LONGEST] for key, value in values.items()}
    return UnitState(
        name=name,
        load=words.get("LoadState", ""),
        active=words.get("ActiveState", ""),
        sub=words.get("SubState", ""),
        result=words.get("Result", "") or "success",
        exit_status=_exit_status(words),
        age=_age(words),
        restarts=_number(words.get("NRestarts", "")) or 0,
        memory=_number(words.get("MemoryCurrent", "")),
        triggers=tuple(values.get("Triggers", "").split()[:1]),
    )


def _exit_status(words: dict[str, str]) -> str:
    status = _number(words.get("ExecMainStatus", ""))
    if not status:
        return ""
    return f"signal {status}" if _number(words.get("ExecMainCode", "")) in _KILLED else f"status {status}"


def _age(words: dict[str, str]) -> float | None:
    changed = _number(words.get("StateChangeTimestampMonotonic", ""))
    return max(0.0, clock.monotonic() - changed / 1e6) if changed else None


def _number(text: str) -> int | None:
    """Return a whole number; None for another text, as "[not set]"."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and int(text) < _LARGEST else None  # noqa: PLR2004 - digits of 2**64
