"""SIGTERM, SIGINT and SIGHUP, heard by a thread of its own: also while all others hang in the kernel."""

import contextlib
import os
import signal
import threading
import time

LONGEST_END = 45.0  # seconds from SIGTERM to the end, whatever hangs
_HEARD = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Signals:
    """What was asked for. Make it before any thread that is to leave the signals to this one."""

    def __init__(self) -> None:
        self.stop = self.reload = False
        self.longest_end = LONGEST_END
        self.woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while not self.stop:
            number = signal.sigwait(_HEARD)
            self.reload |= number == signal.SIGHUP
            self.stop |= number != signal.SIGHUP
            with contextlib.suppress(BlockingIOError):  # it is awake
                os.write(self._wake, b"\0")
        time.sleep(self.longest_end)
        os._exit(1)  # something hangs for good
