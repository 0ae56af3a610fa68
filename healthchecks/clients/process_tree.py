"""A program with everything that it starts, in a temporary directory of its own: ended and removed whole.

A guardian stands in between: a small process that ends all of it when the run says so, or dies. See guardian.py.
"""

import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from healthchecks import ProbeTimeout, Unhealthy, remaining
from healthchecks.clients import guardian, leftovers
from servermonitoring import owner

_NEEDED = {
    "HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "FONTCONFIG_FILE", "FONTCONFIG_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
}  # fmt: skip
_FAMILIES = ("LC_", "SNAP")


def inherited() -> dict[str, str]:
    """Return the variables that a child browser inherits."""
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith(_FAMILIES)}


_LONGEST = 24  # characters of $TMPDIR: a browser does not start where the name of its socket is over 107
_PATIENCE = 15.0  # seconds for the guardian, which gives up after 10


class ProcessTree:
    """Ended from any thread, at any time, more than once; what is ended never starts anything again."""

    def __init__(self) -> None:
        token = secrets.token_hex(6)
        self.directory = _base() / f"{owner.PREFIX}{token}"
        self.output = self.directory / "output"
        self._owner = str(owner.this_process())
        self._mark = f"{self._owner}.{token}"
        self._guardian: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def start(self, command: list[str]) -> None:
        """Raises Unhealthy where it cannot be started, ProbeTimeout where that takes too long."""
        leftovers.remove_once()
        with self._lock:
            if self._ended:
                raise Unhealthy("ended before it began")
            self._guardian = self._guard(command)
        if not _is_readable(self._guardian, remaining()):
            raise ProbeTimeout(f"{command[0]} did not start in time")
        answer = _output(self._guardian)
        if answer != "0":
            raise Unhealthy(f"cannot be started: {answer or command[0]}")

    @property
    def is_running(self) -> bool:
        """Whether the program that was started is alive."""
        with self._lock:
            return self._guardian is not None and not self._ended and not _is_readable(self._guardian, 0)

    def end(self) -> None:
        """Kill all of it, stopped ones too, and remove its directory; return when that is done."""
        with self._lock:
            if self._guardian is not None and not self._ended and not _end(self._guardian):  # it was killed
                leftovers.end_marked(lambda mark: mark == self._mark)
                shutil.rmtree(self.directory, ignore_errors=True)
            self._ended = True

    def _guard(self, command: list[str]) -> "subprocess.Popen[bytes]":
        arguments = [guardian.__file__, str(self.directory), self._owner, *command]
        try:
            return subprocess.Popen(  # noqa: S603 - the program that the target names
                [sys.executable, "-I", "-S", *arguments], env=self._environment(), start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            raise Unhealthy(f"{command[0]} cannot be started: {error.strerror}") from None

    def _environment(self) -> dict[str, str]:
        """All that a browser writes goes into its directory, whatever it takes for its home."""
        directory = str(self.directory)
        return {**inherited(), "TMPDIR": directory, "HOME": directory, leftovers.MARK: self._mark}


def _base() -> Path:
    """Where temporary directories go. Raise Unhealthy where there is no such place."""
    try:
        usual = tempfile.gettempdir()
    except OSError as error:
        raise Unhealthy(f"no directory for temporary files: {error.strerror}") from None
    return Path(usual if len(usual) <= _LONGEST else "/tmp")  # noqa: S108 - the guardian makes a new one in it


def _end(process: "subprocess.Popen[bytes]") -> bool:
    """End a guardian; whether it has done its work."""
    with contextlib.suppress(OSError):
        process.stdin.write(b"\n")  # type: ignore[union-attr]  # a byte, since forks of this run hold the pipe open, too
    process.send_signal(signal.SIGCONT)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
    for each in (process.stdin, process.stdout):
        each.close()  # type: ignore[union-attr]
    return process.wait() == 0


def _is_readable(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    events = select.poll()
    events.register(process.stdout, select.POLLIN)  # type: ignore[arg-type]
    return bool(events.poll(seconds * 1000))


def _output(process: "subprocess.Popen[bytes]") -> str:
    return process.stdout.read(1000).decode(errors="replace").strip()  # type: ignore[union-attr]
