"""The end of the process: not later than it should be, whatever checks have left running."""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import PurePath
from typing import TYPE_CHECKING

from servermonitoring import threads

if TYPE_CHECKING:
    from healthchecks.plugin.run import Run

_PROGRAMS = ("pytest", "py.test", "__main__.py")
_GRACE = 3.0  # seconds that threads of checks may hold the exit
_LATE = 10.0  # seconds after the run's timeout


def leave(exitstatus: int) -> None:
    """From the end of the run: have the process end with this status although threads of checks still run.

    Python waits for every thread that is no daemon, and for the workers of a ThreadPoolExecutor in any case. Does
    nothing where pytest is only a part of another program.
    """
    if PurePath(sys.argv[0]).name in _PROGRAMS and any(map(_is_foreign, threading.enumerate())):
        threads.start(_leave, exitstatus, name="healthchecks-leave")


def _is_foreign(thread: threading.Thread) -> bool:
    """Our own are daemons: they end with the process."""
    return thread is not threading.main_thread() and not thread.name.startswith(("healthchecks", "probe "))


def _leave(exitstatus: int) -> None:
    time.sleep(_GRACE)  # where nothing holds the exit this thread is gone by then
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(exitstatus)


def interrupt_when_late(run: "Run") -> threading.Timer:
    """Interrupt the run, as SIGTERM does, when something that has no limit of its own makes it late.

    That is a hook or a plugin of others: checks are bounded on the stage. Gives the timer, to be cancelled when all
    have been judged.
    """

    def interrupt() -> None:
        run.trouble("pytest", f"the run was still under way {_LATE:g} s after its timeout, and was interrupted")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    timer = threading.Timer(run.pool.ends_at - time.monotonic() + _LATE, interrupt)
    timer.daemon, timer.name = True, "healthchecks-late"
    with contextlib.suppress(RuntimeError):  # the system gives no more threads
        timer.start()
    return timer
