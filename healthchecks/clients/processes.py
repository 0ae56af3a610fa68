"""A program with everything that it starts, in a temporary directory of its own: ended and removed whole.

What leaves the tree of processes, as crash handlers do, is still found: by its session, and by a mark in the
environment that every descendant inherits.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psutil

from healthchecks import Unhealthy
from healthchecks.clients.environment import inherited

_MARK = "SERVERMONITORING_FAMILY"
_LONGEST = 32  # characters of $TMPDIR: a browser does not start where the name of its socket is over 107
_PATIENCE = 0.5  # seconds between a kill and the next look at who is left
_ATTEMPTS = 20  # what forks while it is killed is found by the next look


class Family:
    """Ended from any thread, at any time, more than once; what is ended never starts anything again."""

    def __init__(self) -> None:
        short = len(tempfile.gettempdir()) <= _LONGEST
        self.directory = Path(tempfile.mkdtemp(prefix="servermonitoring-", dir=None if short else "/tmp"))  # noqa: S108 - made by mkdtemp
        self.output = self.directory / "output"
        self._mark = secrets.token_hex(16)
        self._known: set[psutil.Process] = set()
        self._main: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def start(self, command: list[str]) -> None:
        """Raises Unhealthy where it cannot be."""
        environment = {**inherited(), "TMPDIR": str(self.directory), _MARK: self._mark}
        with self._lock, self.output.open("wb") as output:
            if self._ended:
                raise Unhealthy("ended before it began")
            try:
                self._main = subprocess.Popen(  # noqa: S603 - the program that the target names
                    command, env=environment, cwd=self.directory, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                )  # fmt: skip
            except OSError as error:
                raise Unhealthy(f"{command[0]} cannot be started: {error.strerror}") from None

    @property
    def is_running(self) -> bool:
        return self._main is not None and self._main.poll() is None

    def remember(self) -> None:
        """Note who belongs to it now, for when the tree has fallen apart."""
        if self._main is not None:
            with contextlib.suppress(psutil.Error):
                main = psutil.Process(self._main.pid)
                self._known |= {main, *main.children(recursive=True)}

    def end(self) -> None:
        """Kill all of it, stopped ones too, and remove its directory; return when that is done."""
        with self._lock:
            self._ended = True
            if self._main is not None:
                self._kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._main.wait(1)
            shutil.rmtree(self.directory, ignore_errors=True)

    def _kill(self) -> None:
        for _ in range(_ATTEMPTS):
            self.remember()
            self._known |= {each for each in psutil.process_iter() if self._owns(each)}
            alive = [each for each in self._known if _is_alive(each)]
            if not alive:
                return
            for each in alive:
                with contextlib.suppress(psutil.Error):
                    each.kill()  # psutil looks at the start time first: a pid may be somebody else's by now
            _await_end(alive)

    def _owns(self, process: psutil.Process) -> bool:
        try:
            in_session = self._main is not None and os.getsid(process.pid) == self._main.pid
            return in_session or process.environ().get(_MARK) == self._mark
        except (psutil.Error, OSError):
            return False


def _await_end(processes: list[psutil.Process]) -> None:
    """Not psutil.wait_procs, which would go on until somebody collects the dead, which nobody may ever do."""
    end = time.monotonic() + _PATIENCE
    while any(map(_is_alive, processes)) and time.monotonic() < end:
        time.sleep(0.01)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
