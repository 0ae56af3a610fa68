"""Which process belongs to which browser, by whatever leads from one to the other."""

from watchdog import processes
from watchdog.ancestry import Ancestry
from watchdog.family import Family
from watchdog.processes import Process
from watchdog.table import Table


class Membership:
    """The processes of all browsers. Who was once seen below one stays its member."""

    def __init__(self) -> None:
        self.ancestry = Ancestry()
        self._of: dict[int, tuple[int, Family]] = {}  # pid → (start, family)
        self._sessions: dict[int, tuple[int, Family]] = {}  # that families have begun; by pid of who did, as above
        self._empty: set[int] = set()  # of them, in which nobody was seen the last time: a child may have been forked

    def __contains__(self, process: Process) -> bool:
        return self._of.get(process.pid, (None,))[0] == process.start

    def forget(self, family: Family) -> None:
        for known in (self._of, self._sessions):
            for pid in [pid for pid, each in known.items() if each[1] is family]:
                del known[pid]

    def adopt(self, process: Process) -> bool:
        """Whether it is below a browser, or one of its processes already."""
        mine = self._of.get(process.pid)
        if mine is not None and mine[0] == process.start:
            mine[1].members[process.pid] = process
            return True
        if mine is not None:
            self._leave(process.pid)
        family = self._child_of(process) or self._in_session_of(process) or self._forked_by(process)
        if family is not None:
            self.join(family, process)
        return family is not None

    def join(self, family: Family, process: Process) -> None:
        family.members[process.pid] = process
        self._of[process.pid] = process.start, family

    def drop_the_dead(self, table: Table) -> None:
        """Only those that are being killed keep their dead, who may have had children."""
        for pid in [pid for pid, (_, family) in self._of.items() if pid not in table.known and not family.dying]:
            self._leave(pid)
        if self._sessions:
            lived_in = {family.members[pid].session for pid, (_, family) in self._of.items() if pid in family.members}
            empty = self._sessions.keys() - lived_in
            for session in empty & self._empty:
                del self._sessions[session]
            self._empty = empty

    def is_dying(self, process: Process) -> bool:
        start, family = self._of.get(process.pid, (0, None))
        return family is not None and family.dying and start == process.start

    def _child_of(self, process: Process) -> Family | None:
        start, family = self._of.get(process.parent, (0, None))
        known = family is not None and start <= process.start and processes.alive(process.parent, start)
        return family if known else None

    def _in_session_of(self, process: Process) -> Family | None:
        """The family that began its session: its parent may have ended before it was seen."""
        began = self._of.get(process.session) or self._sessions.get(process.session)
        if began is None or began[0] > process.start:
            return None
        leader = processes.look(process.session)
        if leader is not None and leader.start != began[0]:
            return None
        self._sessions[process.session] = began
        return began[1]

    def _forked_by(self, process: Process) -> Family | None:
        """The family that is being killed, and forked it, or a parent that was never seen."""
        for pid in self.ancestry.line(process.pid):
            start, family = self._of.get(pid, (0, None))
            if family is not None and family.dying and start <= process.start:
                return family
        return None

    def _leave(self, pid: int) -> None:
        _, family = self._of.pop(pid)
        family.lose(pid)
