"""The termination of a browser, step by step, so that other browsers are scanned meanwhile.

SIGTERM goes to the main process first, and SIGCONT to all, because a stopped process handles no other signal. When the
grace is over, when the main process has ended, or when the browser keeps growing, whatever is left is killed.
All of it is stopped before, because a stopped process forks no more: a process that is killed could leave a child
that no scan has seen, and nothing connects an orphan with its browser.
"""

import logging
import os
import signal

from watchdog import processes
from watchdog.browsers import Browser
from watchdog.processes import Process


def send(process: Process, number: int) -> None:
    """Send a signal. Raise ProcessLookupError if it is gone, PermissionError if this user may not kill it."""
    descriptor = os.pidfd_open(process.pid)  # from now on no other process can have the pid
    try:
        if not processes.alive(process.pid, process.start):
            raise ProcessLookupError(f"process {process.pid} is gone")
        signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def may_kill(process: Process) -> bool:
    """Return whether this user may kill it; true for a process that is gone."""
    try:
        send(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


log = logging.getLogger(__name__)
_GROWTH = 0.01  # of the memory at the first signal: a browser that grows by more loses its grace
_LONGEST_STOP = 1.0  # seconds until the kill, even if some process has not stopped (it waits for a disk)
_GIVE_UP = 5.0  # seconds after SIGKILL
_Identity = tuple[int, int]  # pid, start


class Termination:
    """The end of one browser. Raise ProcessLookupError or PermissionError if it cannot be begun."""

    def __init__(self, browser: Browser, now: float, *, is_urgent: bool = False, has_grace: bool = True) -> None:
        """Prepare it: an urgent one loses its grace when the browser grows; without grace SIGKILL comes at once."""
        self.browser, self._began_at, self._is_urgent = browser, now, is_urgent
        self._ending_since = None if has_grace else now
        self._last_members: set[_Identity] = set()  # at the step before
        self._was_empty = False  # at the step before
        self._ended_by_itself = False  # the main process, within its grace
        self._stopped_processes: set[_Identity] = set()
        self._killed_at: dict[_Identity, float] = {}  # when each was sent SIGKILL
        self._forbidden_processes: set[_Identity] = set()
        self._initial_memory = self._resident_memory()
        if has_grace:
            send(browser.main, signal.SIGTERM)
            self._send_all(self._alive(), signal.SIGCONT)
        browser.is_dying = True

    def step(self, now: float) -> bool:
        """Go on; return True when nothing of the browser is left, or nothing more can be done.

        The caller adds new members of the browser between two steps.
        """
        alive = self._alive()
        last_members, self._last_members = self._last_members, {each[:2] for each in self.browser.members.values()}
        was_empty, self._was_empty = self._was_empty, not alive
        if not alive:  # twice: the last fork may not have been seen
            return was_empty and self._last_members == last_members and self._is_empty(now)
        if self._ending_since is None and self._is_time(now):
            self._ending_since = now
        if self._ending_since is None:
            return False
        if not self._killed_at and not self._all_stopped(alive, now - self._ending_since):
            return False
        return self._kill(alive, now)

    def in_words(self, now: float) -> str:
        """Return, for example, "by SIGKILL after 2.3 s"."""
        how = "by SIGTERM" if self._ending_since is None or self._ended_by_itself else "by SIGKILL"
        return f"{how} after {now - self._began_at:.2g} s"

    def _is_time(self, now: float) -> bool:
        if not self.browser.exists():
            self._ended_by_itself = True
            return True
        if now - self._began_at >= self.browser.rule.grace:
            return True
        return self._is_urgent and self._resident_memory() > self._initial_memory * (1 + _GROWTH)

    def _is_empty(self, now: float) -> bool:
        """Return whether nothing is left in its cgroup, or nothing that ends."""
        if not self.browser.cgroup.kill():
            return True
        self._ending_since = self._ending_since or now
        return now - self._ending_since >= _LONGEST_STOP + _GIVE_UP

    def _all_stopped(self, alive: list[Process], seconds: float) -> bool:
        """Stop all; return True when all had stopped before the last update of the members."""
        had_stopped = all(each[:2] in self._stopped_processes for each in alive)
        self._send_all(alive, signal.SIGSTOP)
        self._stopped_processes = {each[:2] for each in alive if _is_stopped(each)}
        return had_stopped or seconds >= _LONGEST_STOP

    def _kill(self, alive: list[Process], now: float) -> bool:
        """Kill what is alive; return True when SIGKILL does not end it."""
        self.browser.cgroup.kill()  # everything at once, where possible
        self._send_all(alive, signal.SIGKILL)
        for each in alive:
            self._killed_at.setdefault(each[:2], now)
        if any(now - self._killed_at[each[:2]] < _GIVE_UP for each in alive):
            return False
        log.error("processes %s still alive %g s after SIGKILL", [each.pid for each in alive], _GIVE_UP)
        return True

    def _resident_memory(self) -> int:
        return sum(processes.resident(pid)[0] for pid in self.browser.members)

    def _alive(self) -> list[Process]:
        members = [each for each in self.browser.members.values() if each[:2] not in self._forbidden_processes]
        return [each for each in members if processes.alive(each.pid, each.start)]

    def _send_all(self, them: list[Process], number: int) -> None:
        for process in them:
            try:
                send(process, number)
            except ProcessLookupError:
                continue  # it has ended meanwhile
            except PermissionError:
                self._forbidden_processes.add(process[:2])
                log.warning("this user may not kill process %d (%s) of the browser", process.pid, process.name)


def _is_stopped(process: Process) -> bool:
    now = processes.find(process.pid)
    return now is None or now[:2] != process[:2] or now.state in "TtZX"
