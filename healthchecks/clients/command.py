"""Runs a program once: without a shell, bounded in time and output, and ended with all that it has started.

It has an empty standard input, no other descriptor of this process, and a session of its own. When it has ended, was
too slow or wrote too much, its process group is killed. What has left the group is known by a mark in its environment;
a daemon that has closed its output as well lives until the end of the run, which kills what its checks have left.
"""

import contextlib
import errno
import os
import secrets
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from healthchecks import CheckError, ProbeTimeout, on_timeout, phase, remaining
from healthchecks.clients import process_tree
from servermonitoring.values import size_in_words

LARGEST_OUTPUT = 65_536  # bytes of standard output and standard error together
DIRECTORIES = (  # of plugins: Debian, Red Hat, Arch, built from source
    "/usr/lib/nagios/plugins", "/usr/lib64/nagios/plugins", "/usr/lib/monitoring-plugins", "/usr/local/nagios/libexec",
    "/usr/local/lib/nagios/plugins",
)  # fmt: skip
_INHERITED = ("HOME", "USER", "LOGNAME", "PATH", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PATIENCE = 1.0  # seconds for a killed program: one in an uninterruptible wait does not die
_PART = 65_536  # bytes read at a time


@dataclass(frozen=True)
class CommandOutput:
    """What a program has written, and its exit status; a negative one is the number of the signal that ended it."""

    exit_status: int
    text: str
    errors: str
    """What it wrote to standard error."""


def run_command(
    command: Sequence[str], variables: Mapping[str, str], directory: Path, *, largest: int = LARGEST_OUTPUT
) -> CommandOutput:
    """Run it in the directory, with `variables` in addition to a small environment in the C locale.

    `largest`: the bytes that it may write to standard output and standard error together.
    Raise CheckError where it cannot be started or writes too much, ProbeTimeout where it does not end in time.
    """
    program = _RunningProgram([find_program(command[0]), *command[1:]], variables, directory, largest)
    try:
        on_timeout(program.end)
        phase(f"{Path(command[0]).name} has not ended")
        return program.finish()
    finally:
        program.end()
        program.close()


def find_program(name: str) -> str:
    """Return the path of a program in the directories of plugins or on the PATH; one with a slash is a path already.

    Raise CheckError where there is none.
    """
    if "/" in name:
        return name
    places = os.pathsep.join((*DIRECTORIES, os.environ.get("PATH", os.defpath)))
    if found := shutil.which(name, path=places):
        return found
    raise CheckError(f"{name} is not in {DIRECTORIES[0]}, {DIRECTORIES[3]} or on the PATH: write its whole path")


class _RunningProgram:
    """A program under way; `end` may be called from any thread, more than once."""

    def __init__(self, command: list[str], variables: Mapping[str, str], directory: Path, largest: int) -> None:
        self._largest = largest
        self._mark = process_tree.mark_of(secrets.token_hex(6))
        self._process = _start(command, {**_environment(), **variables, process_tree.MARK: self._mark}, directory)
        self._alive = os.pidfd_open(self._process.pid)  # readable when the program has ended
        self._outputs = [each.fileno() for each in (self._process.stdout, self._process.stderr) if each]
        self._received = {number: bytearray() for number in self._outputs}
        self._open = set(self._outputs)
        self._lock = threading.Lock()
        self._is_ended = False

    def finish(self) -> CommandOutput:
        """Read what it writes until it ends. Raise CheckError, ProbeTimeout."""
        events = select.poll()
        events.register(self._alive, select.POLLIN)
        for number in self._outputs:
            os.set_blocking(number, False)
            events.register(number, select.POLLIN)
        while self._alive not in (ready := [number for number, _ in events.poll(remaining() * 1000)]):
            if remaining() <= 0.001:  # noqa: PLR2004 - what remaining() never goes below
                raise ProbeTimeout
            for number in ready:
                self._read(number)
                if number not in self._open:
                    events.unregister(number)
        for number in [*self._open]:
            while self._read(number):
                pass
        self.end()
        text, errors = (self._received[number].decode(errors="replace") for number in self._outputs)
        return CommandOutput(self._process.returncode, text, errors)

    def end(self) -> None:
        """Kill it and what it has started. What belongs to another user, such as root by sudo, may go on."""
        with self._lock:
            if self._is_ended:
                return
            self._is_ended = True
            with contextlib.suppress(OSError):  # until it is collected below, no other group can have its number
                os.killpg(self._process.pid, signal.SIGKILL)
            if self._open:  # something holds its output open, or it was not awaited
                process_tree.end_marked(self._mark)
            if _is_readable(self._alive, _PATIENCE):
                self._process.wait()

    def close(self) -> None:
        """Close the descriptors; only the thread that reads them may do so."""
        for each in (self._process.stdout, self._process.stderr):
            each.close()  # type: ignore[union-attr]
        os.close(self._alive)

    def _read(self, number: int) -> bool:
        """Read what is there; return whether there may be more. Raise CheckError for too much."""
        try:
            part = os.read(number, _PART)
        except BlockingIOError:
            return False
        if not part:
            self._open.discard(number)
            return False
        self._received[number] += part
        if sum(map(len, self._received.values())) > self._largest:
            raise CheckError(f"wrote more than {size_in_words(self._largest)} of output, and was ended")
        return True


def _is_readable(descriptor: int, seconds: float) -> bool:
    events = select.poll()
    events.register(descriptor, select.POLLIN)
    return bool(events.poll(seconds * 1000))


def _environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {"PATH": os.defpath, **inherited, "LC_ALL": "C"}


def _start(command: list[str], environment: dict[str, str], directory: Path) -> "subprocess.Popen[bytes]":
    """Start it in a session of its own. Raise CheckError."""
    try:
        return subprocess.Popen(  # noqa: S603 - the program that the target names
            command, env=environment, cwd=directory, start_new_session=True, bufsize=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise CheckError(_reason(error, command[0], directory)) from None


def _reason(error: OSError, program: str, directory: Path) -> str:
    """Return why it could not be started; an error of the directory has that as its file name."""
    if str(error.filename) == str(directory):
        return f"directory {directory}: {error.strerror}"
    if error.errno == errno.ENOEXEC:
        return f"{program} cannot be started: its first line must name its interpreter, such as #!/bin/sh"
    if error.errno == errno.ENOENT and Path(program).exists():
        return f"{program} cannot be started: the interpreter that its first line names does not exist"
    return f"{program} cannot be started: {error.strerror}"
