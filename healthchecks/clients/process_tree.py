"""Runs a program in a temporary directory, and ends it with all of its descendants.

A guardian process (guardian.py) ends them when the run asks for it or dies.
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
    """A program and its descendants; `end` may be called from any thread, at any time, more than once."""

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
        """Start the program. Raise Unhealthy where that fails, ProbeTimeout where it takes too long."""
        leftovers.remove_once()
        with self._lock:
            if self._ended:
                raise Unhealthy("ended before it began")
            self._guardian = self._guard(command)
        if not _is_readable(self._guardian, remaining()):
            raise ProbeTimeout(f"{command[0]} did not start in time")
        error = _output(self._guardian)
        if error != "0":
            raise Unhealthy(f"cannot be started: {error or command[0]}")

    @property
    def is_running(self) -> bool:
        """Whether the program that was started is alive."""
        with self._lock:
            return self._guardian is not None and not self._ended and not _is_readable(self._guardian, 0)

    def end(self) -> None:
        """Kill all processes, also stopped ones, and remove the directory; return when that is done."""
        with self._lock:
            if self._guardian is not None and not self._ended and not _end(self._guardian):  # it was killed
                leftovers.end_marked(lambda mark: mark == self._mark)
                shutil.rmtree(self.directory, ignore_errors=True)
            self._ended = True

    def _guard(self, command: list[str]) -> "subprocess.Popen[bytes]":
        arguments = [guardian.__file__, str(self.directory), self._owner, f"{leftovers.MARK}={self._mark}", *command]
        try:
            return subprocess.Popen(  # noqa: S603 - the program that the target names
                [sys.executable, "-I", "-S", *arguments], env=self._environment(), start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            raise Unhealthy(f"{command[0]} cannot be started: {error.strerror}") from None

    def _environment(self) -> dict[str, str]:
        """Return the environment: home and temporary files are in the directory."""
        directory = str(self.directory)
        return {**inherited(), "TMPDIR": directory, "HOME": directory}


def _base() -> Path:
    """Return where to make the directory. Raise Unhealthy where there is no place for temporary files."""
    try:
        usual = tempfile.gettempdir()
    except OSError as error:
        raise Unhealthy(f"no directory for temporary files: {error.strerror}") from None
    return Path(usual if len(usual) <= _LONGEST else "/tmp")  # noqa: S108 - the guardian makes a new one in it


def _end(process: "subprocess.Popen[bytes]") -> bool:
    """End a guardian; return whether it has cleaned up."""
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
