"""`watchdog status`: which browsers there are, and what would happen to them when."""

import json
import time
from pathlib import Path
from typing import Any

from servermonitoring.values import in_words, size_in_words
from servermonitoring.watchdog_state import Heartbeat, heartbeat
from watchdog import messages
from watchdog.browser import Family
from watchdog.browsers import Families
from watchdog.clock import uptime
from watchdog.log_stream import escaped
from watchdog.policy import due_at, verdict
from watchdog.process_table import Table
from watchdog.processes import user_name
from watchdog.rules import Rule
from watchdog.validation.last_validation import Believer

_HEAD = ("PID", "NAME", "USER", "RULE", "MEMORY", "AGE", "VALIDATED", "WHAT HAPPENS")


def families(rules: list[Rule], state: Path) -> list[Family]:
    """The browsers there are now, weighed exactly, with their last validation."""
    now, table, found = uptime(), Table(), Families(rules)
    believer = Believer(repair=False, state=state)
    found.update(table, table.refresh(now), now)
    for family in found.by_main.values():
        family.memory = family.weigh_exactly(now)
        believer.ask(family, now)
        family.excused = max(family.excused, believer.suspension.excused)
    return list(found.by_main.values())


def running(beat: Heartbeat | None) -> bool:
    """Whether a watchdog has looked when it ought to have."""
    return beat is not None and time.time() - beat.time <= beat.poll_interval


def as_text(rules: list[Rule], state: Path) -> str:
    return f"{_in_a_line(heartbeat(state))}\n{_table(rules, state)}"


def as_json(rules: list[Rule], state: Path) -> str:
    beat, now = heartbeat(state), uptime()
    return json.dumps(
        {
            "running": running(beat),
            "heartbeat": None if beat is None else beat._asdict(),
            "browsers": [_values(family, now) for family in families(rules, state)],
        },
        indent=2,
    )


def _in_a_line(beat: Heartbeat | None) -> str:
    if beat is None:
        return "No watchdog was ever started here: `watchdog watch` starts one."
    looked = f"looked {messages.ago(time.time() - beat.time)}"
    if running(beat):
        suspended = (
            f"\nVALIDATIONS CANNOT BE RECORDED, so only memory is judged: {beat.suspended}" if beat.suspended else ""
        )
        return f"The watchdog runs (process {beat.pid}, {looked}).{suspended}"
    return f"THE WATCHDOG DOES NOT RUN (process {beat.pid} {looked} for the last time)."


def _table(rules: list[Rule], state: Path) -> str:
    rows = [_HEAD, *(_row(family, uptime()) for family in families(rules, state))]
    if not rows[1:]:
        meant = ", ".join(f"{rule.name} ({rule.process})" for rule in rules)
        return f"No browser runs that a rule means: {meant}."
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(family: Family, now: float) -> tuple[str, ...]:
    limit = family.rule.max_memory
    validated = "never" if family.validated is None else messages.ago(now - family.validated)
    return (
        str(family.main.pid),
        escaped(family.main.name),
        user_name(family.uid),
        family.rule.name,
        size_in_words(family.memory) + (f" of {size_in_words(limit)}" if limit else ""),
        in_words(round(now - family.main.started)),
        validated,
        _fate(family, now),
    )


def _fate(family: Family, now: float) -> str:
    found = verdict(family.facts(), family.rule, now)
    if found is not None:
        return f"to be killed: {found.message}"
    due = due_at(family.facts(), family.rule)
    return "" if due is None else f"to be killed in {in_words(round(due - now))} if not validated"


def _values(family: Family, now: float) -> dict[str, Any]:
    found, due = verdict(family.facts(), family.rule, now), due_at(family.facts(), family.rule)
    return {
        "pid": family.main.pid,
        "name": family.main.name,
        "user": user_name(family.uid),
        "rule": family.rule.name,
        "memory": family.memory,
        "max_memory": family.rule.max_memory,
        "processes": len(family.members),
        "age": round(now - family.main.started, 2),
        "validated": None if family.validated is None else round(now - family.validated, 2),
        "due_in": None if due is None else round(due - now, 2),
        "reason": None if found is None else found.reason.value,
        "message": "" if found is None else found.message,
        "command": family.command,
    }
