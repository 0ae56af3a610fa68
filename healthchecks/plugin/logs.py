"""What is logged belongs to its check: kept for alerts, and shown by pytest in the call of the test.

The records of a probe's thread are kept with its job, and replayed in the call of the test that waits for it.
"""

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from healthchecks.plugin.probe import ProbeJob, current_job
from healthchecks.plugin.result import LogLine, clean, text_of

if TYPE_CHECKING:
    import pytest

MESSAGES = "healthchecks.message"  # the logger of capture_message()
DATA = "healthchecks_data"  # the attribute of its records
_MOST = 1000  # records of one probe
_LONGEST_SHOWN = 100_000  # characters of one that pytest shows or writes to a log file
_EXCEPTIONS = logging.Formatter()
_KEPT = "healthchecks_kept"


class Collector(logging.Handler):
    """Keeps the records of probes' threads with their jobs, all others for the test that runs."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        job = current_job()
        try:
            if job is not None and job.is_ahead:
                job.records += [record][: _MOST - len(job.records)]
            elif _is_of_this_test(job) and len(self._lines) < _MOST:
                self._lines.append(_line(record))
        except Exception:  # noqa: BLE001 - a record whose text cannot be made harms no check
            self.handleError(record)

    def take(self) -> list[LogLine]:
        """What was logged since the last time."""
        taken, self._lines = self._lines, []
        return taken


class _HoldBack(logging.Filter):
    """On pytest's handlers: keeps the records of a probe's thread out until they are replayed, and secrets always."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not _is_of_this_test(current_job()):
            return False
        record.msg, record.args = clean(_message(record), _LONGEST_SHOWN), None
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


def replay(job: ProbeJob) -> None:
    """Hand the records of a probe to the loggers again, now in the main thread."""
    for record in job.records:
        with contextlib.suppress(Exception):  # of a handler of the user, which has raised in the probe already
            logging.getLogger(record.name).handle(record)


def _is_of_this_test(job: ProbeJob | None) -> bool:
    """Return whether what this thread logs is of the test that runs now, not of an earlier or abandoned one."""
    return job is None or not (job.is_ahead or job.done.is_set())


def _line(record: logging.LogRecord) -> LogLine:
    repeated = hasattr(record, _KEPT)
    setattr(record, _KEPT, True)
    text = _message(record)
    data: dict[str, Any] | None = getattr(record, DATA, None)
    if record.exc_info and record.exc_info[1] is not None:  # log.exception()
        text = f"{text}: {type(record.exc_info[1]).__name__}: {text_of(record.exc_info[1])}"
    return LogLine(
        time=record.created,
        level=record.levelno,
        logger=record.name,
        text=text,
        template=text_of(record.msg),
        is_message=data is not None,
        data=data or {},
        is_repeated=repeated,
    )


def _message(record: logging.LogRecord) -> str:
    """Its text; also of one whose arguments do not fit."""
    try:
        return text_of(record.getMessage())
    except Exception as error:  # noqa: BLE001 - whatever the arguments raise
        return f"{text_of(record.msg)} (its arguments do not fit: {text_of(error)})"
