"""Ends a family, step by step, so that others are looked at meanwhile.

SIGTERM for the main process first, and SIGCONT for all, because a stopped process hears nothing else. When
the grace is over, when the main process has ended, or when the family grows on, whatever is left is killed.
All of it is stopped before, for a stopped process has no more children: one that is killed could leave one
that nobody has seen, and nobody's child is found no more.
"""

import logging
import os
import signal

from watchdog import processes
from watchdog.browser import Family
from watchdog.processes import Process


def send(process: Process, number: int) -> None:
    """Send a signal. Raises ProcessLookupError if it is gone, PermissionError if this user may not end it."""
    descriptor = os.pidfd_open(process.pid)  # from now on no other process can have the pid
    try:
        if not processes.alive(process.pid, process.start):
            raise ProcessLookupError(f"process {process.pid} is gone")
        signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def may_end(process: Process) -> bool:
    """Whether this user may end it; true for one that is gone, as nothing stands in the way."""
    try:
        send(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


log = logging.getLogger(__name__)
_GROWTH = 0.01  # of the memory at the first signal: who grows by more has no grace
_LONGEST_STOP = 1.0  # seconds until it is killed though not all of it has stopped (one that waits for a disk)
_GIVE_UP = 5.0  # seconds after the SIGKILL
_Identity = tuple[int, int]  # pid, start


class Killing:
    """The end of one family. Raises ProcessLookupError or PermissionError if it cannot be begun."""

    def __init__(self, family: Family, now: float, *, hurried: bool = False, begun: bool = False) -> None:
        """With `begun` its grace is over."""
        self.family, self._began, self._hurried = family, now, hurried
        self._ending_since = now if begun else None
        self._known: set[_Identity] = set()  # the members at the step before
        self._was_empty = False  # at the step before
        self._heard = False  # the main process ended by itself, within its grace
        self._stopped: set[_Identity] = set()
        self._killed: dict[_Identity, float] = {}  # when each was sent SIGKILL
        self._forbidden: set[_Identity] = set()
        self._resident = self._weigh()
        if not begun:
            send(family.main, signal.SIGTERM)
            self._send_all(self._alive(), signal.SIGCONT)
        family.dying = True

    def step(self, now: float) -> bool:
        """Go on; true when nothing of the family is left, or nothing more can be done.

        Between two steps new members of the family are looked for.
        """
        alive = self._alive()
        known, self._known = self._known, {each[:2] for each in self.family.members.values()}
        was_empty, self._was_empty = self._was_empty, not alive
        if not alive:  # twice: what the last one forked may not have been seen
            return was_empty and self._known == known and self._is_empty(now)
        if self._ending_since is None and self._is_time(now):
            self._ending_since = now
        if self._ending_since is None:
            return False
        if not self._killed and not self._all_stopped(alive, now - self._ending_since):
            return False
        return self._kill(alive, now)

    def how(self, now: float) -> str:
        """What ended it, in words."""
        hard = "by SIGTERM" if self._ending_since is None or self._heard else "by SIGKILL"
        return f"{hard} after {now - self._began:.2g} s"

    def _is_time(self, now: float) -> bool:
        if not self.family.exists():
            self._heard = True
            return True
        if now - self._began >= self.family.rule.grace:
            return True
        return self._hurried and self._weigh() > self._resident * (1 + _GROWTH)

    def _is_empty(self, now: float) -> bool:
        """Whether nothing is left in its cgroup, or nothing that ends."""
        if not self.family.cgroup.kill():
            return True
        self._ending_since = self._ending_since or now
        return now - self._ending_since >= _LONGEST_STOP + _GIVE_UP

    def _all_stopped(self, alive: list[Process], waited: float) -> bool:
        """Stop all; true when all had been stopped before new ones were looked for the last time."""
        found_all = all(each[:2] in self._stopped for each in alive)
        self._send_all(alive, signal.SIGSTOP)
        self._stopped = {each[:2] for each in alive if _is_stopped(each)}
        return found_all or waited >= _LONGEST_STOP

    def _kill(self, alive: list[Process], now: float) -> bool:
        """Kill what is alive; true when it does not end by that."""
        self.family.cgroup.kill()  # at one stroke, where that can be
        self._send_all(alive, signal.SIGKILL)
        for each in alive:
            self._killed.setdefault(each[:2], now)
        if any(now - self._killed[each[:2]] < _GIVE_UP for each in alive):
            return False
        log.error("processes %s do not end by SIGKILL", [each.pid for each in alive])
        return True

    def _weigh(self) -> int:
        return sum(processes.resident(pid)[0] for pid in self.family.members)

    def _alive(self) -> list[Process]:
        members = [each for each in self.family.members.values() if each[:2] not in self._forbidden]
        return [each for each in members if processes.alive(each.pid, each.start)]

    def _send_all(self, them: list[Process], number: int) -> None:
        for process in them:
            try:
                send(process, number)
            except ProcessLookupError:
                continue  # it has ended meanwhile
            except PermissionError:
                self._forbidden.add(process[:2])
                log.warning("process %d (%s) of the browser may not be ended", process.pid, process.name)


def _is_stopped(process: Process) -> bool:
    now = processes.look(process.pid)
    return now is None or now[:2] != process[:2] or now.state in "TtZX"
