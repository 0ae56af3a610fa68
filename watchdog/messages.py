"""Messages of the watchdog: log lines for people, kills.jsonl for programs; and the log on stderr.

An alert is a log record of level ERROR; that of a kill carries it as `kill`. alerting.handler sends them to Sentry. On
stderr each record is one line, written without waiting for its reader.
"""

import contextlib
import copy
import logging
import os
import select
import sys
import time
from collections.abc import Iterable

from servermonitoring.threads import Backlog
from servermonitoring.values import in_words, size_in_words
from servermonitoring.watchdog_state import Kill, user_name
from watchdog.browsers import Browser
from watchdog.policy import Rule, Violation
from watchdog.processes import Process
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


_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_MOST_LINES = 1000  # lines that wait for a reader
_LONGEST = 20_000  # characters of a record
_BUDGET = 2.0  # seconds for what is left at the end


class LineFormatter(logging.Formatter):
    r"""Shows what is not printable as Python does, \n or \x1b: no text from outside begins a line or moves a cursor.

    The lines of a traceback or of a list of errors are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        shown = copy.copy(record)
        if isinstance(shown.args, tuple):
            shown.args = tuple(escaped(each) if isinstance(each, str) else each for each in shown.args)
        lines = super().format(shown)[:_LONGEST].split("\n")
        return "\n    ".join(map(escaped, lines))


class LogStream(logging.Handler):
    """Writes to a descriptor in a thread. Lines without room are counted, and the count is logged."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.setFormatter(LineFormatter(_FORMAT))
        self._descriptor = descriptor
        self._lines: Backlog[str] = Backlog(self._write, _MOST_LINES, log)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - a record that cannot be formatted must not end the program
            text = f"{record.msg!r} cannot be shown: {error!r}"
        self._lines.put(text)

    def finish(self) -> None:
        """Wait a moment for the lines that are left."""
        self._lines.finish(_BUDGET)

    def _write(self, text: str) -> None:
        if dropped := self._lines.take_dropped_count():
            text = f"{dropped} lines of the log were dropped: nobody read stderr in time\n{text}"
        rest = f"{text}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):  # closed, or a full disk: nobody will ever read it
            while rest:
                rest = rest[self._write_some(rest) :]

    def _write_some(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll()
            return 0


def log_to_stream() -> LogStream:
    """Send the log to stderr from now on; `finish` the stream at the end."""
    stream = LogStream(sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, handlers=[stream])
    return stream


def log_plainly() -> None:
    """Send the log to stderr directly, for a command that ends in a moment and may wait."""
    stream = logging.StreamHandler()
    stream.setFormatter(LineFormatter(_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[stream])


def escaped(text: str) -> str:
    """Return the text on one line, without control characters."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
