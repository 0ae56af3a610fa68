"""Says what the watchdog does: to people in the log, to programs in kills.jsonl.

An alert is a log record of level ERROR; that of a kill carries it as `kill`. alerting.handler sends those on.
"""

import logging
import time
from collections.abc import Iterable

from servermonitoring.values import in_words, size_in_words
from servermonitoring.watchdog_state import Kill
from watchdog.browser import Family
from watchdog.policy import Verdict
from watchdog.processes import Process, user_name
from watchdog.rules import Rule
from watchdog.state_writer import StateWriter

log = logging.getLogger("watchdog")
_MOST_NAMED = 10  # processes in one line


def kill_of(family: Family, verdict: Verdict, now: float) -> Kill:
    validated = None if family.validated is None else round(max(0.0, now - family.validated), 2)
    return Kill(
        time=time.time(),
        rule=family.rule.name,
        reason=verdict.reason.value,
        message=verdict.message,
        pid=family.main.pid,
        name=family.main.name,
        user=family.uid,
        memory=family.memory,
        age=round(now - family.main.started, 2),
        validated=validated,
        command=family.command,
    )


def tell_kill(state: StateWriter, kill: Kill) -> None:
    """One log line and one JSON line; nobody waits for either."""
    log.error(
        "killed %s, process %d of %s (rule %s): %s; command: %s",
        kill.name, kill.pid, user_name(kill.user), kill.rule, kill.message, kill.command, extra={"kill": kill},
    )  # fmt: skip
    state.kill(kill)


def in_a_line(family: Family, now: float) -> str:
    """A browser in a line: "firefox-esr, process 12 of scraper (rule firefox): 512 MB of 1.2 GB, …"."""
    main, rule = family.main, family.rule
    limit = "" if rule.max_memory is None else f" of {size_in_words(rule.max_memory)}"
    validated = "not validated" if family.validated is None else f"validated {ago(now - family.validated)}"
    return (
        f"{main.name}, process {main.pid} of {user_name(family.uid)} (rule {rule.name}): "
        f"{size_in_words(family.memory)}{limit}, started {ago(now - main.started)}, {validated}"
    )


def processes_in_words(them: Iterable[Process]) -> str:
    """Processes in a line: "process 13 (Web Content), process 14 (tool) and 5 more"."""
    them = list(them)
    more = f" and {len(them) - _MOST_NAMED} more" if len(them) > _MOST_NAMED else ""
    return ", ".join(f"process {each.pid} ({each.name})" for each in them[:_MOST_NAMED]) + more


def ago(seconds: float) -> str:
    return f"{in_words(round(max(0.0, seconds)))} ago"


def rule_in_words(rule: Rule) -> str:
    memory = "any memory" if rule.max_memory is None else f"at most {size_in_words(rule.max_memory)}"
    within = "never" if rule.validated_within is None else f"within {in_words(rule.validated_within)}"
    every = "never" if rule.revalidated_every is None else f"every {in_words(rule.revalidated_every)}"
    return f"{memory}; to be validated {within} of its start, then {every}; grace {in_words(rule.grace)}"
