"""Signals of a run: the first one ends it in order, further ones change nothing until that is done."""

import atexit
import contextlib
import os
import signal
import threading
import weakref
from collections.abc import Generator, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any

import pytest

from servermonitoring import clock, threads

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_REPEAT = 0.2  # seconds after which a signal is sent once more, if its handler has not run
_GRACE = 10.0  # seconds to end in order; a later signal ends the process at once


class Interruption:
    """Owns SIGINT, SIGTERM and SIGHUP from the start of a run to its end; a plugin of that run.

    An exception raised by a signal handler can hit any line, also one that renames a file or holds a lock that other
    threads need. So KeyboardInterrupt is raised only in the phases of a test and in hooks of others, which may be slow;
    elsewhere the handler sets `signal`, which is checked before the next phase. Our own end of a run has timeouts.
    A child that a check forks has the kernel's own way with signals: Python's handlers wait for the end of a call in C.
    """

    def __init__(self) -> None:
        self.signal = ""  # the name of the first one
        self.is_ending = False  # all checks have ended: nothing is left to be cut off
        self._came = 0.0  # monotonic
        self._raises = False
        self._before: dict[int, Any] = {}
        self._is_over = False
        self._process = os.getpid()
        self._woken = self._wake = -1
        _interruptions.add(self)

    def own(self) -> None:
        """Handle the signals, except those that are ignored, as by nohup or in the background of a shell."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)

    def repeat_missed(self) -> None:
        """Start a thread that sends a signal once more whose handler does not run; when no process is forked any more.

        Python handles a signal between two instructions: one that comes just before a call that waits, or in another
        thread, would be handled when the call returns.
        """
        if self._before:
            self._woken, self._wake = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._wake, False)
            signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
            threads.start(self._repeat, self._woken, threading.get_ident(), name="healthchecks-signals")

    def _repeat(self, woken: int, main: int) -> None:
        while (number := os.read(woken, 1)) and not self._is_over:
            clock.sleep(_REPEAT)
            if number[0] in self._before and not self.signal:
                signal.pthread_kill(main, number[0])

    def release(self) -> None:
        """Restore the handlers; in a run that a signal has ended, only a signal after _GRACE does so."""
        self._is_over = True
        if self._wake >= 0:
            signal.set_wakeup_fd(-1)
            os.close(self._wake)  # which ends the thread
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
        """Let signals raise nothing meanwhile: for a wait that calls `check` itself."""
        with self._set(raises=False):
            yield

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Let signals raise KeyboardInterrupt meanwhile: for code that is not ours."""
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

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Give each entry of the traceback a line: signals may raise where Python knows none, and pytest needs one."""
        whole = None
        for entry in reversed(list(_entries(excinfo.tb))):
            line = entry.tb_lineno or entry.tb_frame.f_code.co_firstlineno
            whole = TracebackType(whole, entry.tb_frame, entry.tb_lasti, line)
        excinfo.traceback = type(excinfo.traceback)(whole)  # type: ignore[arg-type]  # never None: it was raised

    def disown(self) -> None:
        """Give the signals back to the kernel, in a child."""
        for number in self._before:
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.SIG_DFL)
        if self._wake >= 0:
            signal.set_wakeup_fd(-1)  # it would wake the run

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
        if os.getpid() != self._process:  # a child that has only just been forked
            _end_at_once(number, signal.SIG_DFL)
        elif not self.signal:
            self.signal, self._came = signal.Signals(number).name, clock.monotonic()
            if self._raises:
                self.check()
        elif clock.monotonic() - self._came > _GRACE:
            _end_at_once(number, self._before[number] if self._is_over else signal.SIG_DFL)


_interruptions: weakref.WeakSet[Interruption] = weakref.WeakSet()


def ignore_signals() -> None:
    """Leave the signals to the run, which ends its processes in order; called in a process of the run's own.

    They are not ignored for the kernel: a program that is started here would inherit that.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _nothing)


def _nothing(*_: object) -> None:
    pass


def _disown_all() -> None:
    for each in _interruptions:
        each.disown()
    for number in _SIGNALS:
        if signal.getsignal(number) is _nothing:
            signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_disown_all)


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _end_at_once(number: int, handler: Any) -> None:
    signal.signal(number, handler)
    os.kill(os.getpid(), number)


def _ignore(numbers: Iterable[int]) -> None:
    """Ignore signals while the interpreter ends: it would restore their default, and end with another status."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
