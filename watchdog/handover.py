"""What the reader (`reader`), a process, hands over to `watchdog watch`; and how that starts it, waits and ends it.

Options, settings and what is to be scrubbed come as JSON in a pipe. It holds secrets in clear text, for that pipe and
for nothing else.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from servermonitoring import __version__, scrubbing, threads
from watchdog.policy import DEFAULT, Rule

LONGEST_READ = 60.0  # seconds; a machine short of memory starts a program slowly
VARIABLE = "WATCHDOG_SENTRY_DSN"
OK, NOT_DONE, WRONG_CONFIGURATION, ALREADY_RUNNING = 0, 1, 4, 6
"""Exit statuses of the `watchdog` command."""
_WRONG_ARGUMENTS = 2  # that of argparse
_PORTION = 65_536  # bytes


class AlertDestination(NamedTuple):
    """Where alerts go. A problem is logged, and the watchdog goes on without alerts."""

    dsn: str = ""
    environment: str = "production"
    problem: str = ""

    def __repr__(self) -> str:
        return f"AlertDestination(environment={self.environment!r}, problem={self.problem!r})"


class WatchdogSettings(NamedTuple):
    rules: list[Rule]
    source: Path | None  # the file they were read from
    state: str | None  # the configured state directory
    alerts: AlertDestination


class WatchOptions(NamedTuple):
    """The arguments of `watchdog watch`, without the configuration's file."""

    poll_interval: float  # seconds
    once: bool
    dry_run: bool


def settings_as_text(options: WatchOptions, settings: WatchdogSettings) -> str:
    """Return options and settings, and the secrets that this process remembers."""
    return json.dumps(
        {
            "version": __version__,
            "options": options,
            "rules": None if settings.rules[0] is DEFAULT else settings.rules,
            "source": None if settings.source is None else str(settings.source),
            "state": settings.state,
            "alerts": settings.alerts,
            "remembered": scrubbing.remembered(),
        }
    )


def error_as_text(error: str) -> str:
    return json.dumps({"version": __version__, "error": error})


def received(text: bytes) -> tuple[WatchOptions, WatchdogSettings] | str:
    """Return options and settings, or the error, and remember the secrets.

    Raise ValueError, KeyError or TypeError for anything but the text of this version.
    """
    value = json.loads(text)
    if value["version"] != __version__:
        raise ValueError(f"version {value['version']} instead of {__version__}")
    if "error" in value:
        return str(value["error"])
    rules = [DEFAULT] if value["rules"] is None else [Rule(*each) for each in value["rules"]]
    source = None if value["source"] is None else Path(value["source"])
    settings = WatchdogSettings(rules, source, value["state"], AlertDestination(*value["alerts"]))
    options = WatchOptions(*value["options"])
    scrubbing.remember_forms(value["remembered"])
    return options, settings


class HandoverError(Exception):
    """No settings were received. The text is empty if the reader has printed why, or was asked for its help only."""

    def __init__(self, text: str, status: int = WRONG_CONFIGURATION) -> None:
        """`status`: the exit status of the watchdog."""
        super().__init__(text)
        self.status = status


def read(arguments: Sequence[str], longest: float = LONGEST_READ) -> tuple[WatchOptions, WatchdogSettings]:
    """Return what these arguments and the configuration say. Raise HandoverError, at the latest after `longest` s."""
    try:
        text, status = _output(arguments, longest)
    except OSError as error:
        raise HandoverError(f"the configuration cannot be read: {error}") from None
    if not text and status in (0, _WRONG_ARGUMENTS):
        raise HandoverError("", status)
    try:
        found = received(text)
    except (ValueError, KeyError, TypeError):
        raise HandoverError(_reason(status)) from None
    if isinstance(found, str):
        raise HandoverError(found)
    return found


def _reason(status: int) -> str:
    if status == 0:
        return "the configuration cannot be read: the program was installed again meanwhile; restart the watchdog"
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return f"the configuration cannot be read: the process that reads it {how}"


def _output(arguments: Sequence[str], longest: float) -> tuple[bytes, int]:
    """Return what the reader has written, and its exit status, negative for a signal. Raise OSError."""
    reading, child = _started(arguments)
    try:
        text = _all_of(reading, time.monotonic() + longest)
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        threads.start(os.waitpid, child, 0, name="reader")  # which takes for ever if a disk hangs
        raise
    finally:
        os.close(reading)
    return text, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _started(arguments: Sequence[str]) -> tuple[int, int]:
    """Start the reader. Return the descriptor to read from, and its pid. Raise OSError."""
    reading, writing = os.pipe()
    try:
        os.set_inheritable(writing, True)
        command = [sys.executable, *_interpreter_options(), "-m", "watchdog.reader", str(writing), *arguments]
        return reading, os.posix_spawn(sys.executable, command, os.environ)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)


def _interpreter_options() -> list[str]:
    """Return the options by which the reader finds the same modules; -P: none in the working directory."""
    given = {"-I": sys.flags.isolated, "-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site}
    return ["-P", *(option for option, is_given in given.items() if is_given)]


def _all_of(descriptor: int, ends_at: float) -> bytes:
    """Return what comes until the end. Raise TimeoutError."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    parts: list[bytes] = []
    while poll.poll(max(0.0, ends_at - time.monotonic()) * 1000):
        part = os.read(descriptor, _PORTION)
        if not part:
            return b"".join(parts)
        parts.append(part)
    raise TimeoutError("it takes too long; is its disk or network file system in order?")
