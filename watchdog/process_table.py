"""The processes of the machine, kept up to date at little cost.

Only new pids are looked at, and a pid is known to be new by the order in which they are given out. A pid
may come back as another process, and a process may become another program (exec keeps pid and start): so the
young ones are looked at again every time, and all others in turn.
"""

from collections import deque
from collections.abc import Iterable

from watchdog import processes
from watchdog.processes import Process

YOUNG = 10.0  # seconds during which a process is likely to exec
_ROUND = 60.0  # seconds in which every process is looked at again
_MOST = 200  # of them in one look, so that a look stays short
_BLIND = 30.0  # seconds for which /proc is not listed
_FEW = 500  # pids that cost less to try than /proc to list
_UNSEEN = 0.5  # seconds for which a pid is tried: a fork gives it out before its process can be seen


class Table:
    """Which processes there are; `refresh` says which of them are new or changed."""

    def __init__(self) -> None:
        self.known: dict[int, Process] = {}
        self._young: dict[int, Process] = {}
        self._changed: list[Process] = []  # not returned yet
        self._newest: deque[tuple[float, int]] = deque([(0.0, 0)] * 2)  # when, and the pid given out last
        self._listed = self._refreshed = float("-inf")
        self._turn: list[int] = []  # pids still to be looked at again in this round

    def refresh(self, now: float) -> list[Process]:
        """Processes that are new, or have changed their program or name. Raises OSError for no /proc."""
        try:
            again = [*self._still_young(now), *self._new(now)]
            self._look([*again, *self._next_in_turn(now)])
        except OSError:
            self._listed = float("-inf")  # the next refresh lists all, so that nothing is lost
            raise
        self._refreshed = now
        changed, self._changed = self._changed, []
        return changed

    def _new(self, now: float) -> list[int]:
        """Pids that may be new. They are given out in order, so /proc is listed only now and then."""
        newest, first = processes.newest_pid(), self._newest[0][1] + 1
        none = self._is_settled(newest)
        self._newest.append((now, newest))
        while len(self._newest) > 2 and self._newest[1][0] <= now - _UNSEEN:  # noqa: PLR2004 - the last two stay
            self._newest.popleft()
        if (none or 0 <= newest - first <= _FEW) and now - self._listed <= _BLIND:
            return [pid for pid in range(first, newest + 1) if pid in self.known or processes.is_process(pid)]
        self._listed = now
        there = processes.pids()
        for pid in self.known.keys() - there:
            del self.known[pid]
        return sorted(pid for pid in there if pid not in self.known or (not none and _between(pid, first, newest)))

    def _is_settled(self, newest: int) -> bool:
        """Whether no pid was given out that is still to be tried."""
        return all(each == newest for _, each in self._newest)

    def stale(self, now: float) -> bool:
        """Whether a refresh may bring something new: a glance, for almost nothing."""
        settled = self._is_settled(processes.newest_pid()) and self._listed > float("-inf")
        return not settled or bool(self._still_young(now))

    def _still_young(self, now: float) -> list[int]:
        self._young = {pid: each for pid, each in self._young.items() if now - each.started < YOUNG}
        return list(self._young)

    def _look(self, pids: Iterable[int]) -> None:
        for pid in pids:
            process, before = processes.look(pid), self.known.get(pid)
            if process is None:
                self.known.pop(pid, None)
                self._young.pop(pid, None)
            elif before is None or _other(process, before):
                self.known[pid] = self._young[pid] = process
                self._changed.append(process)

    def _next_in_turn(self, now: float) -> list[int]:
        if not self._turn:
            self._turn = list(self.known)
        share = (now - self._refreshed) / _ROUND
        count = min(_MOST, len(self._turn), int(len(self.known) * min(1.0, share)) + 1)
        turn, self._turn = self._turn[-count:], self._turn[:-count]
        return turn


def _other(process: Process, before: Process) -> bool:
    """Whether it is another process, or has changed its program or its session."""
    return (*process[:2], process.name, process.session) != (*before[:2], before.name, before.session)


def _between(pid: int, first: int, newest: int) -> bool:
    """Whether the pid was given out meanwhile, and may be another process than the known one; pids begin again."""
    return first <= pid <= newest if first <= newest else pid >= first or pid <= newest
