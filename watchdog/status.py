"""`watchdog status`: the browsers that run, and when they will be killed."""

import json
import time
from pathlib import Path
from typing import Any

from servermonitoring.values import in_words, size_in_words
from servermonitoring.watchdog_state import Heartbeat, heartbeat, user_name
from watchdog import messages
from watchdog.browsers import Browser, Browsers
from watchdog.messages import escaped
from watchdog.policy import Rule, due_at, find_violation
from watchdog.process_table import ProcessTable
from watchdog.processes import uptime
from watchdog.validation.tracker import ValidationTracker

_HEAD = ("PID", "NAME", "USER", "RULE", "MEMORY", "AGE", "VALIDATED", "ACTION")


def find_browsers(rules: list[Rule], state: Path) -> list[Browser]:
    """Return the browsers that run now, with their exact memory and last validation."""
    now, table, browsers = uptime(), ProcessTable(), Browsers(rules)
    tracker = ValidationTracker(repair=False, state=state)
    browsers.update(table, table.refresh(now), now)
    for browser in browsers.by_main.values():
        browser.memory = browser.measure_memory_exactly(now)
        tracker.update(browser, now)
        browser.excused_until = max(browser.excused_until, tracker.suspension.excused_until)
    return list(browsers.by_main.values())


def is_running(beat: Heartbeat | None) -> bool:
    """Return whether the last heartbeat of the watchdog is recent enough."""
    return beat is not None and time.time() - beat.time <= beat.poll_interval


def as_text(rules: list[Rule], state: Path) -> str:
    return f"{_in_a_line(heartbeat(state))}\n{_table(rules, state)}"


def as_json(rules: list[Rule], state: Path) -> str:
    beat, now = heartbeat(state), uptime()
    return json.dumps(
        {
            "running": is_running(beat),
            "heartbeat": None if beat is None else beat._asdict(),
            "browsers": [_values(browser, now) for browser in find_browsers(rules, state)],
        },
        indent=2,
    )


def _in_a_line(beat: Heartbeat | None) -> str:
    if beat is None:
        return "No watchdog was ever started here: `watchdog watch` starts one."
    last = f"last heartbeat {messages.ago(time.time() - beat.time)}"
    if is_running(beat):
        suspended = (
            f"\nVALIDATIONS CANNOT BE RECORDED, so only memory limits apply: {beat.suspended}" if beat.suspended else ""
        )
        return f"The watchdog runs (process {beat.pid}, {last}).{suspended}"
    return f"THE WATCHDOG DOES NOT RUN (process {beat.pid}, {last}, maximum {in_words(beat.poll_interval)})."


def _table(rules: list[Rule], state: Path) -> str:
    rows = [_HEAD, *(_row(browser, uptime()) for browser in find_browsers(rules, state))]
    if not rows[1:]:
        names = ", ".join(f"{rule.name} ({rule.process})" for rule in rules)
        return f"No browser that runs matches a rule: {names}."
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(browser: Browser, now: float) -> tuple[str, ...]:
    limit = browser.rule.max_memory
    validated = "never" if browser.validated_at is None else messages.ago(now - browser.validated_at)
    return (
        str(browser.main.pid),
        escaped(browser.main.name),
        user_name(browser.uid),
        browser.rule.name,
        size_in_words(browser.memory) + (f" of {size_in_words(limit)}" if limit else ""),
        in_words(round(now - browser.main.started_at)),
        validated,
        _action(browser, now),
    )


def _action(browser: Browser, now: float) -> str:
    found = find_violation(browser.facts(), browser.rule, now)
    if found is not None:
        return f"to be killed: {found.message}"
    due = due_at(browser.facts(), browser.rule)
    return "" if due is None else f"to be killed in {in_words(round(due - now))} if not validated"


def _values(browser: Browser, now: float) -> dict[str, Any]:
    found, due = find_violation(browser.facts(), browser.rule, now), due_at(browser.facts(), browser.rule)
    return {
        "pid": browser.main.pid,
        "name": browser.main.name,
        "user": user_name(browser.uid),
        "rule": browser.rule.name,
        "memory": browser.memory,
        "max_memory": browser.rule.max_memory,
        "processes": len(browser.members),
        "age": round(now - browser.main.started_at, 2),
        "validated": None if browser.validated_at is None else round(now - browser.validated_at, 2),
        "due_in": None if due is None else round(due - now, 2),
        "reason": None if found is None else found.reason.value,
        "message": "" if found is None else found.message,
        "command": browser.command,
    }
