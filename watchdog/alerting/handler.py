"""Sends the watchdog's kills and errors to Sentry without delaying a scan or a kill.

Log records of level ERROR go into a queue; one thread turns them into events and puts them into the spool, another
delivers them. Many kills at once become one summary. Imported only where a DSN is set.
"""

import contextlib
import logging
import queue
import threading
import time
import traceback
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from servermonitoring.delivery.sentry import Origin, Sentry
from servermonitoring.delivery.spool import Tally
from servermonitoring.scrubbing import scrub_and_cut
from servermonitoring.values import in_words, size_in_words
from servermonitoring.watchdog_state import Kill, user_name
from watchdog.handover import AlertDestination

log = logging.getLogger(__name__)

_REPEAT_AFTER = 3600.0  # seconds after which the same error is sent again
_LONGEST = 8000  # characters of a traceback
_MOST_RECORDS = 1000  # records that wait for a disk that hangs; the log and kills.jsonl have all of them
MOST_ALERTS, _WINDOW = 20, 600.0  # alerts within so many seconds


class AlertHandler(logging.Handler):
    """A handler of the logger `watchdog`. Raise ValueError with the reason if nothing can be sent."""

    def __init__(self, destination: AlertDestination, directory: Path) -> None:
        super().__init__(logging.ERROR)
        if find_spec("sentry_sdk") is None:
            raise ValueError("sentry-sdk is not installed: pip install 'servermonitoring[sentry]'")
        self._sentry = Sentry(destination.dsn, directory, Origin(destination.environment))
        self._sentry.outbox.on_pass = self._log_tally
        self._records: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._throttle, self._errors_sent_at = AlertThrottle(), dict[str, float]()
        self._last_error = ""
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)

    @property
    def host(self) -> str:
        return self._sentry.dsn.host

    def start(self) -> None:
        self._sentry.start()
        self._thread.start()
        logging.getLogger("watchdog").addHandler(self)

    def finish(self, budget: float) -> None:
        """Send what is left within `budget` seconds, and end."""
        end = time.monotonic() + budget
        logging.getLogger("watchdog").removeHandler(self)
        self._records.put(None)
        self._thread.join(budget)
        tally = self._sentry.finish(end - time.monotonic())
        if tally != Tally():
            log.info("Sentry: %s", tally)

    def emit(self, record: logging.LogRecord) -> None:
        if self._records.qsize() < _MOST_RECORDS:
            self._records.put(record)

    def _work(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                record = self._records.get(timeout=self._throttle.due(time.monotonic()))
                if record is None:
                    self._summarize(time.monotonic() + _WINDOW)
                    return
                self._alert(record)
            self._summarize(time.monotonic())

    def _alert(self, record: logging.LogRecord) -> None:
        kill, now = getattr(record, "kill", None), time.monotonic()
        event = _of_kill(kill) if isinstance(kill, Kill) else _of_error(record)
        if kill is None and not self._is_new(str(record.msg), now):
            return
        what = f"killed {kill.name} ({kill.rule}: {kill.reason})" if kill else str(record.msg)
        if self._throttle.admits(what, now):
            self._capture(event)

    def _is_new(self, error: str, now: float) -> bool:
        """Return False for an error that was sent within the last hour, as one of every scan would be."""
        if now - self._errors_sent_at.get(error, float("-inf")) < _REPEAT_AFTER:
            return False
        self._errors_sent_at[error] = now
        return True

    def _summarize(self, now: float) -> None:
        if summary := self._throttle.summary(now):
            message = f"watchdog: {summary} within {in_words(_WINDOW)}, in addition to those sent one by one"
            self._capture({"message": message, "fingerprint": ["watchdog", "storm"]})

    def _capture(self, event: dict[str, Any]) -> None:
        host = self._sentry.origin.host
        tags = {"host": host, **event.get("tags", {})}
        self._sentry.capture({"level": "error", "logger": "watchdog", "platform": "python", **event, "tags": tags})

    def _log_tally(self, tally: Tally) -> None:
        """Log an error of the delivery when it is a new one."""
        if tally.error and tally.error != self._last_error:
            log.warning("Sentry: %s", tally)
        self._last_error = tally.error


def _of_kill(kill: Kill) -> dict[str, Any]:
    validated = "never" if kill.validated is None else f"{in_words(kill.validated)} before"
    return {
        "message": f"watchdog[{kill.rule}]: killed {kill.name}: {kill.message}",
        "timestamp": kill.time,
        "fingerprint": ["watchdog", kill.rule, kill.reason],
        "tags": {"rule": kill.rule, "reason": kill.reason, "process": kill.name, "user": user_name(kill.user)},
        "contexts": {
            "kill": {
                "memory": size_in_words(kill.memory),
                "age": in_words(kill.age),
                "last validated": validated,
                "process id": kill.pid,
                "command": kill.command,
            }
        },
    }


def _of_error(record: logging.LogRecord) -> dict[str, Any]:
    """Return an event; one issue for each place that logs, whatever the values in its message."""
    event: dict[str, Any] = {
        "message": f"watchdog: {record.getMessage()}",
        "timestamp": record.created,
        "fingerprint": ["watchdog", record.name, str(record.msg)],
    }
    if record.exc_info and record.exc_info[1]:
        text = scrub_and_cut("".join(traceback.format_exception(record.exc_info[1])), _LONGEST, keep_end=True)
        event["message"] += f": {record.exc_info[1]}"
        event["contexts"] = {"error": {"traceback": text}}
    return event


class AlertThrottle:
    """Decides which alerts are sent at once (`admits`), and summarizes the others when a window is over (`summary`).

    The first 20 alerts within ten minutes are sent one by one. Later ones are counted and sent as one summary at the
    end of each ten minutes, until a window had fewer than 20. Pure but for its memory.
    """

    def __init__(self) -> None:
        self._sent_at: list[float] = []
        self._suppressed: Counter[str] = Counter()
        self._until: float | None = None  # the end of the window in which alerts are suppressed

    def admits(self, what: str, now: float) -> bool:
        """Return whether to send this alert at once; otherwise count it as `what` for the summary."""
        if self._until is None:
            self._sent_at = [each for each in self._sent_at if now - each < _WINDOW]
            if len(self._sent_at) < MOST_ALERTS:
                self._sent_at.append(now)
                return True
            self._until = now + _WINDOW
        self._suppressed[what] += 1
        return False

    def summary(self, now: float) -> str:
        """Return, for example, "30 times killed firefox-esr (firefox: memory)"; empty until a window is over."""
        if self._until is None or now < self._until:
            return ""
        suppressed, self._suppressed = self._suppressed, Counter()
        self._until = now + _WINDOW if suppressed.total() >= MOST_ALERTS else None
        return ", ".join(
            f"{count} times {what}" if count > 1 else f"once {what}" for what, count in suppressed.most_common(10)
        )

    def due(self, now: float) -> float | None:
        """Return the seconds until a summary is due; None for never."""
        return None if self._until is None else max(0.0, self._until - now)
