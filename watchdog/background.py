"""Work that may take its time, beside the looks."""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
_running: list[threading.Thread] = []


def in_background(work: Callable[[], None]) -> None:
    """Do it in a thread that does not hold up the end of the program."""
    thread = threading.Thread(target=_guarded, args=[work], daemon=True)
    _running[:] = [each for each in _running if each.is_alive()]
    _running.append(thread)
    thread.start()


def wait(longest: float) -> None:
    """Give what is under way a last chance, in seconds for all of it."""
    ends_at = time.monotonic() + longest
    for thread in _running:
        thread.join(max(0.0, ends_at - time.monotonic()))


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        log.exception("a task in the background failed")
