"""The processes of the machine, kept up to date at little cost.

Only new pids are read, and the order in which the kernel assigns pids shows which are new. A pid may be reused, and a
process may become another program (exec keeps pid and start): so young processes are read again at each scan, and all
others in turn.
"""

from collections import deque
from collections.abc import Iterable

from watchdog import processes
from watchdog.processes import Process

YOUNG = 10.0  # seconds during which a process is likely to exec
_ROUND = 60.0  # seconds in which every process is read again
_MOST = 200  # of them in one scan, so that a scan stays short
_LIST_EVERY = 30.0  # seconds between two lists of /proc
_FEW = 500  # pids that are cheaper to try than to list /proc
_RETRY_FOR = 0.5  # seconds for which a pid is tried: a fork assigns it before its process is visible


class ProcessTable:
    """All processes; `refresh` returns those that are new or changed."""

    def __init__(self) -> None:
        self.known: dict[int, Process] = {}
        self._young: dict[int, Process] = {}
        self._changes: list[Process] = []  # not returned yet
        self._newest: deque[tuple[float, int]] = deque([(0.0, 0)] * 2)  # when, and the newest pid then
        self._listed_at = self._refreshed_at = float("-inf")
        self._turn: list[int] = []  # pids still to be read again in this round

    def refresh(self, now: float) -> list[Process]:
        """Return processes that are new, or have another program or name. Raise OSError without /proc."""
        try:
            again = [*self._still_young(now), *self._new(now)]
            self._read([*again, *self._next_in_turn(now)])
        except OSError:
            self._listed_at = float("-inf")  # the next refresh lists all, so that nothing is lost
            raise
        self._refreshed_at = now
        changed, self._changes = self._changes, []
        return changed

    def _new(self, now: float) -> list[int]:
        """Return pids that may be new. They are assigned in order, so /proc is listed only now and then."""
        newest, first = processes.newest_pid(), self._newest[0][1] + 1
        none = self._is_settled(newest)
        self._newest.append((now, newest))
        while len(self._newest) > 2 and self._newest[1][0] <= now - _RETRY_FOR:  # noqa: PLR2004 - the last two stay
            self._newest.popleft()
        if (none or 0 <= newest - first <= _FEW) and now - self._listed_at <= _LIST_EVERY:
            return [pid for pid in range(first, newest + 1) if pid in self.known or processes.is_process(pid)]
        self._listed_at = now
        there = processes.pids()
        for pid in self.known.keys() - there:
            del self.known[pid]
        return sorted(pid for pid in there if pid not in self.known or (not none and _between(pid, first, newest)))

    def _is_settled(self, newest: int) -> bool:
        """Return whether no assigned pid is left to be tried."""
        return all(each == newest for _, each in self._newest)

    def is_stale(self, now: float) -> bool:
        """Return whether a refresh may find something new; costs almost nothing."""
        settled = self._is_settled(processes.newest_pid()) and self._listed_at > float("-inf")
        return not settled or bool(self._still_young(now))

    def _still_young(self, now: float) -> list[int]:
        self._young = {pid: each for pid, each in self._young.items() if now - each.started_at < YOUNG}
        return list(self._young)

    def _read(self, pids: Iterable[int]) -> None:
        for pid in pids:
            process, before = processes.find(pid), self.known.get(pid)
            if process is None:
                self.known.pop(pid, None)
                self._young.pop(pid, None)
            elif before is None or _other(process, before):
                self.known[pid] = self._young[pid] = process
                self._changes.append(process)

    def _next_in_turn(self, now: float) -> list[int]:
        if not self._turn:
            self._turn = list(self.known)
        share = (now - self._refreshed_at) / _ROUND
        count = min(_MOST, len(self._turn), int(len(self.known) * min(1.0, share)) + 1)
        turn, self._turn = self._turn[-count:], self._turn[:-count]
        return turn


def _other(process: Process, before: Process) -> bool:
    """Return whether it is another process, or has changed its program or its session."""
    return (*process[:2], process.name, process.session) != (*before[:2], before.name, before.session)


def _between(pid: int, first: int, newest: int) -> bool:
    """Return whether the pid was assigned meanwhile, so that it may be another process; pids wrap around."""
    return first <= pid <= newest if first <= newest else pid >= first or pid <= newest
