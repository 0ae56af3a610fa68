"""What all checks share with the process: limits, working directory, standard streams."""

import contextlib
import errno
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_RESERVE = 60  # descriptors that pytest, history, page and the shared libraries need
_MOST = 1024  # 1,000 silent targets in one timeout cost 120 MB; more wait for their turn
_MOST_DESCRIPTORS = 16_384  # a leak to the limit costs the kernel 256 bytes and more for each
_STEP, _STEPS = 64, 4  # descriptors that a lift gives, and how many lifts are possible


@dataclass(frozen=True)
class PoolLimits:
    """`slots` probes within their timeout at a time; `threads` alive, overdue ones included."""

    slots: int
    threads: int


def limits() -> PoolLimits:
    """From the descriptor limit, which is first raised nearly to the hard one.

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


_STANDARD = (0, 1, 2)
_kept: dict[int, int] = {}  # where the standard streams went when the run began


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
    """Until the end of pytest a standard stream that a check closes is opened again, and the terminal lives with it."""
    for descriptor in _STANDARD:
        with contextlib.suppress(OSError):  # it was closed from the start
            _kept[descriptor] = os.dup(descriptor)
    config.add_cleanup(_let_go)
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter._tw._file is not None:  # noqa: SLF001 - pytest has no public way
        reporter._tw._file = SteadyStream(reporter._tw._file)  # noqa: SLF001


def protect_streams() -> None:
    """Have close() of the standard streams do nothing: pytest and all later checks write to them."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, TypeError):  # something of a user's takes its place
            stream.close = lambda: None  # type: ignore[method-assign]


def restore_descriptors() -> None:
    """Open standard streams that a check has closed; make room when it has left no descriptor."""
    for descriptor, kept in [*_kept.items()]:
        if not _is_open(descriptor):
            with contextlib.suppress(OSError):
                os.dup2(kept, descriptor)
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EMFILE:
            lift()


def _let_go() -> None:
    while _kept:
        os.close(_kept.popitem()[1])


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
