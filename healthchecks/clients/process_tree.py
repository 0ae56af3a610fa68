"""Runs a program in a temporary directory, and ends it with all of its descendants.

A guardian process (guardian.py) ends them when the run asks for it or dies. If both were killed together, the next run
removes what they left.

/tmp may contain anything, and pids are reused. Removed are only directories that have our prefix, belong to this user,
are closed to others and name a dead run; killed are only processes with the mark of a dead run, which all descendants
of a guardian have in their environment, but not the guardian: one that lives is about to clean up itself.
"""

import contextlib
import functools
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from healthchecks import ProbeTimeout, Unhealthy, remaining
from healthchecks.clients import guardian
from servermonitoring import clock, owner

_NEEDED = {
    "HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "FONTCONFIG_FILE", "FONTCONFIG_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
}  # fmt: skip
_FAMILIES = ("LC_", "SNAP")


def inherited() -> dict[str, str]:
    """Return the variables that a child browser inherits."""
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith(_FAMILIES)}


_LONGEST = 24  # characters of $TMPDIR: a browser does not start where the name of its socket is over 107
_GUARDIAN_PATIENCE = 15.0  # seconds for the guardian, which gives up after 10
MARK = "SERVERMONITORING_FAMILY"  # in the environment: owner, dot, token
_UNNAMED = 3600.0  # seconds; a younger directory without an owner may still be in the making
_LEFTOVERS_PATIENCE = 5.0  # seconds for processes that do not die, or go on starting others
_LARGEST_ENVIRONMENT = 1 << 20  # bytes of an environment


class ProcessTree:
    """A program and its descendants; `end` may be called from any thread, at any time, more than once."""

    def __init__(self) -> None:
        token = secrets.token_hex(6)
        self.directory = _base() / f"{owner.PREFIX}{token}"
        self.output = self.directory / "output"
        self._owner = str(owner.this_process())
        self._mark = mark_of(token)
        self._guardian: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def start(self, command: list[str]) -> None:
        """Start the program. Raise Unhealthy where that fails, ProbeTimeout where it takes too long."""
        remove_leftovers_once()
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
                end_marked(self._mark)
                shutil.rmtree(self.directory, ignore_errors=True)
            self._ended = True

    def _guard(self, command: list[str]) -> "subprocess.Popen[bytes]":
        arguments = [guardian.__file__, str(self.directory), self._owner, f"{MARK}={self._mark}", *command]
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


def mark_of(token: str) -> str:
    """Return the value of $SERVERMONITORING_FAMILY for what this process starts under this token."""
    return f"{owner.this_process()}.{token}"


def end_marked(mark: str) -> None:
    """Kill all processes of this user that have this mark in their environment."""
    _end_marked(lambda each: each == mark)


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
        process.wait(_GUARDIAN_PATIENCE)
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


@functools.cache
def remove_leftovers_once() -> None:
    """Remove what dead runs left, once in a run."""
    _end_marked(_is_of_dead_run)
    for base in {tempfile.gettempdir(), "/tmp"}:  # noqa: S108 - where directories go if the other's name is too long
        _remove_directories(base)


def _end_marked(is_meant: Callable[[str], bool]) -> None:
    """Kill the processes of this user whose mark is meant, and those that they start meanwhile."""
    end = clock.monotonic() + _LEFTOVERS_PATIENCE
    while (found := list(_marked(is_meant))) and clock.monotonic() < end:
        for pid in found:
            _kill(pid, is_meant)
        clock.sleep(0.01)


def _is_of_dead_run(mark: str) -> bool:
    try:
        return owner.parse(mark.rpartition(".")[0]).is_dead
    except ValueError:
        return False


def _marked(is_meant: Callable[[str], bool]) -> Iterator[int]:
    with contextlib.suppress(OSError):  # no /proc
        for name in os.listdir("/proc"):  # noqa: PTH208 - far faster
            if name.isdigit() and is_meant(_mark(int(name))):
                yield int(name)


def _mark(pid: int) -> str:
    """Return the mark of a living process of this user; empty for any other."""
    environment, start = Path(f"/proc/{pid}/environ"), f"{MARK}=".encode()
    with contextlib.suppress(OSError):
        if environment.stat().st_uid == os.geteuid():
            with environment.open("rb") as file:
                lines = file.read(_LARGEST_ENVIRONMENT).split(b"\0")
            return next((each[len(start) :].decode("ascii", "replace") for each in lines if each.startswith(start)), "")
    return ""


def _kill(pid: int, is_meant: Callable[[str], bool]) -> None:
    """Kill it; check the mark again once the pid is held, so that no other process is hit."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if is_meant(_mark(pid)):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def _remove_directories(base: str) -> None:
    with contextlib.suppress(OSError):
        parent = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in filter(owner.is_directory_name, os.listdir(parent)):  # noqa: PTH208 - a descriptor
                if _is_left(parent, name):
                    shutil.rmtree(name, ignore_errors=True, dir_fd=parent)
        finally:
            os.close(parent)


def _is_left(parent: int, name: str) -> bool:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        descriptor = os.open(name, flags, dir_fd=parent)
        try:
            status, run = os.fstat(descriptor), owner.owner_of(descriptor)
        finally:
            os.close(descriptor)
        if status.st_uid == os.geteuid() and not status.st_mode & 0o077:
            return run.is_dead if run else clock.time() - status.st_ctime >= _UNNAMED
    return False
