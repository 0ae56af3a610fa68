"""The end of the process: in time, whatever checks, hooks or plugins leave running."""

import contextlib
import os
import signal
import sys
import threading
from pathlib import PurePath

from healthchecks.plugin.run import Run
from servermonitoring import clock, threads

_PROGRAMS = ("pytest", "py.test", "__main__.py")

_GRACE = 3.0  # seconds that threads of checks may hold the exit
_LATE = 10.0  # seconds after the run's timeout


def leave(exitstatus: int) -> None:
    """Let the process end with this status although threads of checks still run.

    Python waits for every thread that is no daemon, and for the workers of a ThreadPoolExecutor in any case. Do
    nothing if pytest is only a part of another program.
    """
    if PurePath(sys.argv[0]).name in _PROGRAMS and any(map(_is_foreign, threading.enumerate())):
        threads.start(_leave, exitstatus, name="healthchecks-leave")


def _is_foreign(thread: threading.Thread) -> bool:
    """Return whether a thread is not one of our own, which are daemons and end with the process."""
    return thread is not threading.main_thread() and not thread.name.startswith(("healthchecks", "probe "))


def _leave(exitstatus: int) -> None:
    clock.sleep(_GRACE)  # if nothing holds the exit, the process has ended by then
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(exitstatus)


def interrupt_when_late(run: Run) -> threading.Timer:
    """Interrupt the run, as SIGTERM does, when something without a timeout of its own makes it late.

    That is a hook or a plugin of others: checks run under their timeouts on the stage. Return the timer, to be
    cancelled when all checks have run.
    """

    def interrupt() -> None:
        run.add_suite_error("pytest", f"the run was interrupted: it had not ended {_LATE:g} s after its timeout")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    timer = threading.Timer(run.pool.ends_at - clock.monotonic() + _LATE, interrupt)
    timer.daemon, timer.name = True, "healthchecks-late"
    with contextlib.suppress(RuntimeError):  # the system gives no more threads
        timer.start()
    return timer
