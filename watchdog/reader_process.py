"""The reader's process (`reader`), as `watchdog watch` sees it: started, waited for, ended."""

import os
import select
import signal
import sys
import time
from collections.abc import Sequence

from servermonitoring import threads
from watchdog import handover
from watchdog.exit_status import WRONG_CONFIGURATION
from watchdog.handover import LONGEST_READ, WatchdogSettings, WatchOptions

_PORTION = 65_536  # bytes


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
        found = handover.received(text)
    except (ValueError, KeyError, TypeError):
        raise HandoverError(_reason(status)) from None
    if isinstance(found, str):
        raise HandoverError(found)
    return found


_WRONG_ARGUMENTS = 2  # exit status of argparse


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
