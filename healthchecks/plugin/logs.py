"""What a measuring thread logs belongs to its test: kept with the job, and replayed in the test's own call."""

import logging
from typing import TYPE_CHECKING, Any

from healthchecks.plugin.job import Job, current_job
from servermonitoring.scrubbing import scrub

if TYPE_CHECKING:
    import pytest

_MOST = 1000  # records of one measurement


class _Divert(logging.Filter):
    """On pytest's handlers: keeps a measuring thread's records for later, and lets no secret through."""

    def filter(self, record: logging.LogRecord) -> bool:
        job = current_job()
        if job is not None:
            if len(job.records) < _MOST and record not in job.records[-1:]:
                job.records.append(record)
            return False
        record.msg, record.args = scrub(record.getMessage()), None
        return True


def divert(config: "pytest.Config") -> None:
    """Set it up for this run; without pytest's logging plugin there is nothing to divert."""
    plugin: Any = config.pluginmanager.get_plugin("logging-plugin")
    for name in ("caplog_handler", "report_handler", "log_cli_handler", "log_file_handler"):
        handler = getattr(plugin, name, None)
        if handler is not None:
            handler.addFilter(_Divert())


def replay(job: Job) -> None:
    """Hand the records of a measurement to the loggers again, now in the main thread."""
    for record in job.records:
        logging.getLogger(record.name).handle(record)
