"""Signals of a run: the first one ends it in order, further ones change nothing while that lasts."""

import atexit
import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from types import FrameType
from typing import Any

import pytest

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 10.0  # seconds to end in order; a signal that comes later ends the process at once


class Interruption:
    """Owns SIGINT, SIGTERM and SIGHUP from the start of a run to its end; a plugin of that run.

    An exception raised by a signal handler can hit any line, also one that renames a file or holds a lock that other
    threads need. So KeyboardInterrupt is raised only in the phases of a test and in hooks of others, which may last;
    elsewhere the handler leaves a note, which is read before the next phase. Our own end of a run is bounded.
    """

    def __init__(self) -> None:
        self.signal = ""  # the name of the first one
        self.is_ending = False  # the results are stored: nothing is left to be cut off
        self._came = 0.0  # of the monotonic clock
        self._raises = False
        self._before: dict[int, Any] = {}
        self._is_over = False
        self._process = os.getpid()

    def own(self) -> None:
        """Take over the signals, but for those that are ignored, as by nohup or in the background of a shell."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)

    def release(self) -> None:
        """Restore the handlers; in a run that a signal has ended, only a signal after _GRACE does so."""
        self._is_over = True
        if self.signal:
            atexit.register(_ignore, list(self._before))
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if self.signal:
            raise KeyboardInterrupt(self.signal)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Raise nothing meanwhile: for a wait that calls `check` itself."""
        with self._set(raises=False):
            yield

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Raise KeyboardInterrupt meanwhile: for code that is not ours."""
        with self._set(raises=True):
            yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        with self._raising():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        with self._raising():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        with self._raising():
            return (yield)

    @contextlib.contextmanager
    def _raising(self) -> Iterator[None]:
        with self.allowed():
            self.check()
            yield

    @contextlib.contextmanager
    def _set(self, *, raises: bool) -> Iterator[None]:
        before, self._raises = self._raises, raises
        try:
            yield
        finally:
            self._raises = before

    def _handle(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child that a check has forked
            _end_at_once(number, signal.SIG_DFL)
        elif not self.signal:
            self.signal, self._came = signal.Signals(number).name, time.monotonic()
            if self._raises:
                self.check()
        elif time.monotonic() - self._came > _GRACE:
            _end_at_once(number, self._before[number] if self._is_over else signal.SIG_DFL)


def _end_at_once(number: int, handler: Any) -> None:
    signal.signal(number, handler)
    os.kill(os.getpid(), number)


def _ignore(numbers: Iterable[int]) -> None:
    """In the last moments of an interrupted run the interpreter would restore what kills it, with another status."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
