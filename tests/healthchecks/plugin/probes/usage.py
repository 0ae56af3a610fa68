"""Memory and processor time of a run and of the processes below it."""

import contextlib
import threading
import time

import psutil


def processes(pid):
    """Return the process and all below it that are alive."""
    with contextlib.suppress(psutil.NoSuchProcess):
        run = psutil.Process(pid)
        return [run, *run.children(recursive=True)]
    return []


def marked(mark):
    """Return the processes that are alive and have this in an environment variable, or as their directory.

    A process that was only forked has the environment of the fork server.
    """
    return [each for each in psutil.process_iter() if mark in _environment(each) or mark == _directory(each)]


class Memory:
    """Measures a run from now until it ends, in a thread of its own."""

    def __init__(self, pid):
        self._pid, self._most = pid, 0
        self._thread = threading.Thread(target=self._measure, daemon=True)
        self._thread.start()

    def most(self):
        """Return the largest resident memory of one process, in bytes, when the run has ended."""
        self._thread.join(60)
        return self._most

    def _measure(self):
        while found := processes(self._pid):
            self._most = max(self._most, *map(_resident, found))
            time.sleep(0.05)


def is_quiet(pid):
    """Return whether the run uses less than a fifth of a core, measured for one second."""
    before = _processor_times(pid)
    time.sleep(1)
    after = _processor_times(pid)
    return sum(seconds - before.get(each, 0) for each, seconds in after.items()) < 0.2


def _resident(process):
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss
    return 0


def _processor_times(pid):
    """Return seconds by process."""
    times = {}
    for each in processes(pid):
        with contextlib.suppress(psutil.Error):
            times[each.pid] = sum(each.cpu_times()[:2])
    return times


def _directory(process):
    try:
        return process.cwd()
    except psutil.Error:
        return ""


def _environment(process):
    try:
        return process.environ().values() if process.status() != psutil.STATUS_ZOMBIE else ()
    except psutil.Error:
        return ()
