"""Messages of the watchdog: log lines for people, kills.jsonl for programs.

An alert is a log record of level ERROR; that of a kill carries it as `kill`. alerting.handler sends them to Sentry.
"""

import logging
import time
from collections.abc import Iterable

from servermonitoring.values import in_words, size_in_words
from servermonitoring.watchdog_state import Kill
from watchdog.browsers import Browser
from watchdog.policy import Rule, Violation
from watchdog.processes import Process, user_name
from watchdog.state import StateWriter

log = logging.getLogger("watchdog")
_MOST_NAMED = 10  # processes in one line


def kill_of(browser: Browser, violation: Violation, now: float) -> Kill:
    """Return the entry of kills.jsonl for this browser."""
    validated = None if browser.validated_at is None else round(max(0.0, now - browser.validated_at), 2)
    return Kill(
        time=time.time(),
        rule=browser.rule.name,
        reason=violation.reason.value,
        message=violation.message,
        pid=browser.main.pid,
        name=browser.main.name,
        user=browser.uid,
        memory=browser.memory,
        age=round(now - browser.main.started_at, 2),
        validated=validated,
        command=browser.command,
    )


def report_kill(state: StateWriter, kill: Kill) -> None:
    """Write a log line and an entry of kills.jsonl; wait for neither."""
    log.error(
        "killed %s, process %d of %s (rule %s): %s; command: %s",
        kill.name, kill.pid, user_name(kill.user), kill.rule, kill.message, kill.command, extra={"kill": kill},
    )  # fmt: skip
    state.kill(kill)


def in_a_line(browser: Browser, now: float) -> str:
    """Return, for example, "firefox-esr, process 12 of scraper (rule firefox): 512 MB of 1.2 GB, …"."""
    main, rule = browser.main, browser.rule
    limit = "" if rule.max_memory is None else f" of {size_in_words(rule.max_memory)}"
    validated = "not validated" if browser.validated_at is None else f"validated {ago(now - browser.validated_at)}"
    return (
        f"{main.name}, process {main.pid} of {user_name(browser.uid)} (rule {rule.name}): "
        f"{size_in_words(browser.memory)}{limit}, started {ago(now - main.started_at)}, {validated}"
    )


def processes_in_words(them: Iterable[Process]) -> str:
    """Return, for example, "process 13 (Web Content), process 14 (tool) and 5 more"."""
    them = list(them)
    more = f" and {len(them) - _MOST_NAMED} more" if len(them) > _MOST_NAMED else ""
    return ", ".join(f"process {each.pid} ({each.name})" for each in them[:_MOST_NAMED]) + more


def ago(seconds: float) -> str:
    return f"{in_words(round(max(0.0, seconds)))} ago"


def rule_in_words(rule: Rule) -> str:
    """Return, for example, "maximum memory 1.2 GB, validation within 3 min of the start, then every 3 min, …"."""
    memory = "no memory limit" if rule.max_memory is None else f"maximum memory {size_in_words(rule.max_memory)}"
    first = "no limit for the first validation"
    if rule.validated_within is not None:
        first = f"validation within {in_words(rule.validated_within)} of the start"
    then = "no limit for later ones"
    if rule.revalidated_every is not None:
        then = f"then every {in_words(rule.revalidated_every)}"
    return f"{memory}, {first}, {then}, grace {in_words(rule.grace)}"
