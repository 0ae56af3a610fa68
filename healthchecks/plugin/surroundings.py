"""What all checks share with the process: standard streams, a place for captured output, descriptors, directory.

Standard streams may be closed, full or without a disk when pytest starts, and closed by any check.
"""

import contextlib
import errno
import io
import os
import resource
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from servermonitoring.files import open_standard

_RESERVE = 60  # descriptors that pytest, history, page and the shared libraries need
_MOST = 1024  # 1,000 silent targets in one timeout cost 120 MB; more wait for their turn
_MOST_DESCRIPTORS = 16_384  # a leak to the limit costs the kernel 256 bytes and more for each
_STEP, _STEPS = 64, 4  # descriptors that a lift gives, and how many lifts are possible
_MEMORY = "/dev/shm"  # noqa: S108 - as hostile as /tmp, and used as carefully
_STANDARD = (0, 1, 2)
_kept: dict[int, int] = {}  # where the standard streams went when the run began
_made: list["_Output"] = []


def secure_streams() -> None:
    """Replace what stands for a closed descriptor, and all output that is no terminal."""
    closed = open_standard()
    if 0 in closed:
        _stand_for_closed("stdin", open(0, encoding="utf-8", closefd=False))  # noqa: SIM115 - for the whole process
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream: TextIO | None = getattr(sys, name)
        if number in closed:
            _stand_for_closed(name, _make_output(number, name, None))
        elif stream and stream is getattr(sys, f"__{name}__") and not os.isatty(number):
            setattr(sys, name, _make_output(number, name, stream))


def _stand_for_closed(name: str, stream: TextIO) -> None:
    for each in (name, f"__{name}__"):
        setattr(sys, each, stream)


def insist() -> None:
    """Let errors be errors: this run has no health checks."""
    for each in _made:
        each.forgiving = False


def _make_output(number: int, name: str, like: TextIO | None) -> io.TextIOWrapper:
    raw = _Output(number, "w", closefd=False)
    raw.name = f"<{name}>"
    _made.append(raw)
    if like is not None:
        like.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding if like else "utf-8",
        errors=(like.errors if like else None) or "backslashreplace",
        line_buffering=name == "stderr",
    )


class _Output(io.FileIO):
    """A descriptor to which writing may fail without an error, until `insist` says otherwise."""

    forgiving = True

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            if not self.forgiving:
                raise
            return memoryview(data).nbytes


def secure_capture(config: pytest.Config) -> None:
    """Capture in memory, or not at all, where no file can be made in any directory for temporary ones."""
    if _has_temporary_directory():
        return
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = _MEMORY
    if _has_temporary_directory():
        return
    os.environ.pop("TMPDIR")
    if before is not None:
        os.environ["TMPDIR"] = before
    if config.known_args_namespace.capture in ("fd", "tee-sys"):
        config.known_args_namespace.capture = "sys"


def _has_temporary_directory() -> bool:
    try:
        tempfile.gettempdir()
    except OSError:
        return False
    return True


class SteadyStream:
    """A stream whose descriptor a check may close at any time, in another thread."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._do(self._stream.write, text)

    def flush(self) -> None:
        self._do(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _do(self, call: Any, *arguments: str) -> None:
        try:
            call(*arguments)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            restore_descriptors()


def keep_streams(config: pytest.Config) -> None:
    """Open a standard stream again that a check closes, until the end of pytest; the terminal lives with it."""
    keep_descriptors()
    config.add_cleanup(_let_go)
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter._tw._file is not None:  # noqa: SLF001 - pytest has no public way
        reporter._tw._file = SteadyStream(reporter._tw._file)  # noqa: SLF001


def keeps_streams(config: pytest.Config) -> bool:
    """Return whether a test's output goes where it goes in this process: to a terminal, or to capsys or capfd."""
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if capture is None or config.getoption("capture") == "no":
        return True
    return capture._capture_fixture is not None  # noqa: SLF001 - pytest has no public way


def keep_descriptors() -> None:
    """Remember where the standard descriptors go, to open them again when a check has closed them."""
    _let_go()
    for descriptor in _STANDARD:
        with contextlib.suppress(OSError):  # it was closed from the start
            _kept[descriptor] = os.dup(descriptor)


def protect_streams() -> None:
    """Have close() of the standard streams do nothing: pytest and all later checks write to them."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, TypeError):  # something of a user's takes its place
            stream.close = lambda: None  # type: ignore[method-assign]


def restore_descriptors() -> bool:
    """Open standard streams that a check has closed; make room when it has left no descriptor. Return whether so."""
    for descriptor, kept in [*_kept.items()]:
        if not _is_open(descriptor):
            with contextlib.suppress(OSError):
                os.dup2(kept, descriptor)
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EMFILE:
            lift()
            return True
    return False


def had_no_descriptor(error: BaseException | None) -> bool:
    """Return whether an error, or one that led to it, is that no descriptor was left."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _let_go() -> None:
    while _kept:
        os.close(_kept.popitem()[1])


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class PoolLimits:
    """`slots` probes within their timeout at a time; `threads` alive, overdue ones included."""

    slots: int
    threads: int


def limits() -> PoolLimits:
    """Return the limits from that of descriptors, which is first raised nearly to the hard one.

    Each hung target holds a descriptor: 200 of them under a limit of 128 gave 85 false failures. What is left up to
    the hard limit is for what comes after a check that leaks them: `lift`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_MOST_DESCRIPTORS, hard)
    soft = most - min(_STEP * _STEPS, most // 4)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    free = max(4, soft - _RESERVE)
    return PoolLimits(slots=min(_MOST, free), threads=min(_MOST * 2, free))


def lift(*, last: bool = False) -> None:
    """Give some more descriptors, when a check has used up all there were; `last`: all, for the end of the run."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if last and hard != resource.RLIM_INFINITY:
        more = hard
    else:
        more = soft + _STEP if hard == resource.RLIM_INFINITY else min(soft + _STEP, hard - _STEP)
    if soft < more:
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))


class WorkingDirectory:
    """As it was when this was made."""

    def __init__(self) -> None:
        self._path: Path | None = None
        with contextlib.suppress(OSError):  # it may have been deleted
            self._path = Path.cwd()

    def restore(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.chdir(self._path)


class PythonState:
    """What a test may leave changed for the next one of its process, as it was when this was made."""

    def __init__(self) -> None:
        self._directory = WorkingDirectory()
        self._environment = dict(os.environ)
        self._encoded = dict(vars(os.environ)["_data"])  # compared in a microsecond, os.environ in fifty
        self._path = [*sys.path]
        self._recursion_limit, self._socket_timeout = sys.getrecursionlimit(), socket.getdefaulttimeout()
        self._clocks = {name: vars(time)[name] for name in ("monotonic", "sleep", "time")}

    def restore(self) -> None:
        sys.setrecursionlimit(self._recursion_limit)
        socket.setdefaulttimeout(self._socket_timeout)
        vars(time).update(self._clocks)
        if sys.path != self._path:
            sys.path[:] = self._path
        if vars(os.environ)["_data"] != self._encoded:
            os.environ.clear()
            os.environ.update(self._environment)
        self._directory.restore()
