"""Ends a family, step by step, so that others are looked at meanwhile.

SIGTERM for the main process first, and SIGCONT for all, because a stopped process hears nothing else. When
the grace is over, when the main process has ended, or when the family grows on: SIGKILL for whatever is left.
"""

import logging
import signal

from watchdog import processes
from watchdog.families import Family
from watchdog.processes import Process
from watchdog.signalling import Handle

log = logging.getLogger(__name__)

_GROWTH = 0.01  # of the memory at the first signal: who grows by more has no grace
_GIVE_UP = 5.0  # seconds after the first SIGKILL


class Killing:
    """The end of one family. Raises ProcessLookupError or PermissionError if it cannot be begun."""

    def __init__(self, family: Family, now: float, *, hurried: bool) -> None:
        self.family, self._began, self._hurried = family, now, hurried
        main = Handle(family.main)
        self._handles: dict[tuple[int, int], Handle | None] = {family.main[:2]: main}
        self._main = main
        self._killed_at: float | None = None
        self._heard = False  # the main process ended by itself, within its grace
        self._hold_all()
        self._resident = self._weigh()
        self._main.send(signal.SIGTERM)
        for handle in self._alive():
            handle.send(signal.SIGCONT)

    def step(self, now: float) -> bool:
        """Go on; true when nothing of the family is left, or nothing more can be done."""
        self._hold_all()
        alive = self._alive()
        if not alive and not self.family.cgroup.kill():
            return True
        if self._killed_at is None and self._is_time(now):
            self._killed_at = now
        if self._killed_at is None:
            return False
        for handle in alive:
            handle.send(signal.SIGKILL)
        self.family.cgroup.kill()
        if now - self._killed_at < _GIVE_UP:
            return False
        log.error("processes %s do not end by SIGKILL", [handle.process.pid for handle in alive])
        return True

    def how(self, now: float) -> str:
        """What ended it, in words."""
        hard = "by SIGTERM" if self._killed_at is None or self._heard else "by SIGKILL"
        return f"{hard} after {now - self._began:.2g} s"

    def close(self) -> None:
        for handle in self._handles.values():
            if handle is not None:
                handle.close()

    def _is_time(self, now: float) -> bool:
        if self._main.ended():
            self._heard = True
            return True
        if now - self._began >= self.family.rule.grace:
            return True
        return self._hurried and self._weigh() > self._resident * (1 + _GROWTH)

    def _weigh(self) -> int:
        return sum(processes.resident(pid)[0] for pid in self.family.members)

    def _alive(self) -> list[Handle]:
        return [each for each in self._handles.values() if each is not None and not each.ended()]

    def _hold_all(self) -> None:
        for member in list(self.family.members.values()):
            if member[:2] not in self._handles:
                self._handles[member[:2]] = _hold(member)


def _hold(process: Process) -> Handle | None:
    try:
        return Handle(process)
    except ProcessLookupError:
        return None
    except PermissionError:
        log.warning("process %d (%s) of the browser may not be ended", process.pid, process.name)
        return None
