"""What is logged belongs to its check: kept for alerts, and shown by pytest in the call of the test.

The records of another process are kept there with their job, and replayed in the call of the test that waits for it.
"""

import contextlib
import logging
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from healthchecks.plugin.probes.job import ProbeJob, current_job
from healthchecks.plugin.probes.job_output import DATA, MOST, TEMPLATE, message_text, raised_text
from healthchecks.plugin.result import LogLine, clean, text_of

if TYPE_CHECKING:
    import pytest

MESSAGES = "healthchecks.message"  # the logger of capture_message()
_LONGEST_SHOWN = 100_000  # characters of one that pytest shows or writes to a log file
_EXCEPTIONS = logging.Formatter()
_KEPT = "healthchecks_kept"


class Collector(logging.Handler):
    """Keeps the records of the test that runs."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if _is_of_this_test(current_job()) and len(self._lines) < MOST:
                self._lines.append(_line(record))
        except Exception:  # noqa: BLE001 - a record whose text cannot be made harms no check
            self.handleError(record)

    def take(self) -> list[LogLine]:
        """Return what was logged since the last time."""
        taken, self._lines = self._lines, []
        return taken


class _HoldBack(logging.Filter):
    """On pytest's handlers: keeps the records of abandoned threads out, and secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not _is_of_this_test(current_job()):
            return False
        record.msg, record.args = clean(message_text(record), _LONGEST_SHOWN), None
        if record.exc_info:  # a formatter takes the text that is there, and makes none
            text = record.exc_text or _EXCEPTIONS.formatException(record.exc_info)
            record.exc_text = clean(text, _LONGEST_SHOWN, keep_end=True)
        record.stack_info = clean(record.stack_info or "", _LONGEST_SHOWN, keep_end=True)
        return True


def capture_message(text: str, level: str = "error", **data: Any) -> None:
    """Send a message to Sentry (or the webhook) from a check or its probe, whatever its result.

    It is alerted like a failure: once, then in reminders as long as runs repeat it. `level` is "error", "warning" or
    "info"; `data` is sent with it. It is shown in the log of its test. Raises ValueError for another level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None or number < logging.INFO:
        raise ValueError(f'level "{level}" is none of error, warning, info')
    logging.getLogger(MESSAGES).log(number, text, extra={DATA: data})


def level(config: "pytest.Config") -> int:
    """Return the level of the root logger while tests run."""
    plugin: Any = config.pluginmanager.get_plugin("logging-plugin")
    own = getattr(plugin, "log_level", None)
    return min(logging.getLogger().level, own) if isinstance(own, int) else logging.getLogger().level


def log_surroundings(config: "pytest.Config") -> tuple[int, list[logging.Handler]]:
    """Return for a forked test the level of the root logger, and what works in it: the handler of `caplog`."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "caplog_handler", None)
    return logging.getLogger().level, [handler] if handler is not None else []


def divert(config: "pytest.Config") -> Collector:
    """Set it up for this run."""
    plugin: Any = config.pluginmanager.get_plugin("logging-plugin")
    for name in ("caplog_handler", "report_handler", "log_cli_handler", "log_file_handler"):
        handler = getattr(plugin, name, None)
        if handler is not None:
            handler.addFilter(_HoldBack())
    collector, root = Collector(), logging.getLogger()
    root.addHandler(collector)
    config.add_cleanup(lambda: root.removeHandler(collector))
    logging.getLogger(MESSAGES).setLevel(logging.INFO)  # logging itself would drop what is below WARNING
    return collector


def replay(records: Iterable[logging.LogRecord], output: Mapping[str, str]) -> None:
    """Print and log what was printed and logged in another process, in the call of the test that it belongs to."""
    for name, text in output.items():
        getattr(sys, name).write(text)
    for record in records:
        with contextlib.suppress(Exception):  # of a handler of the user, which has raised in the probe already
            logging.getLogger(record.name).handle(record)


def _is_of_this_test(job: ProbeJob | None) -> bool:
    """Return whether what this thread logs is of the test that runs now, not of an earlier or abandoned one."""
    return job is None or not job.done.is_set()


def _line(record: logging.LogRecord) -> LogLine:
    repeated = hasattr(record, _KEPT)
    setattr(record, _KEPT, True)
    text = message_text(record)
    data: dict[str, Any] | None = getattr(record, DATA, None)
    if raised := raised_text(record):  # log.exception()
        text = f"{text}: {raised}"
    return LogLine(
        time=record.created,
        level=record.levelno,
        logger=record.name,
        text=text,
        template=text_of(getattr(record, TEMPLATE, record.msg)),
        is_message=data is not None,
        data=data or {},
        is_repeated=repeated,
    )
