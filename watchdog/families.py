"""A browser's main process with everything below it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from servermonitoring.scrubbing import scrub_and_cut
from watchdog import processes
from watchdog.cgroup import Cgroup
from watchdog.memory import Scale
from watchdog.processes import Process
from watchdog.rules import Rule
from watchdog.table import YOUNG, Table
from watchdog.verdict import Facts

_NO_LIMIT = 1 << 62  # bytes
_LONGEST_COMMAND = 1000  # characters of it that are told


@dataclass
class Family:
    """A browser. Members stay members when their parent dies and they are handed to another."""

    main: Process
    rule: Rule
    uid: int
    arguments: list[str]
    members: dict[int, Process]  # by pid, the main process included
    memory: int = 0  # bytes
    validated: float | None = None  # uptime
    excused: float = 0.0  # uptime until which its validations could not be seen
    scale: Scale = field(default_factory=Scale)
    cgroup: Cgroup = field(init=False)

    def __post_init__(self) -> None:
        self.cgroup = Cgroup(self.main.pid)

    @property
    def command(self) -> str:
        return scrub_and_cut(" ".join(self.arguments), _LONGEST_COMMAND)

    def facts(self, excused: float = 0.0) -> Facts:
        return Facts(self.main.started, self.memory, self.validated, max(excused, self.excused))

    def weigh(self, now: float) -> int:
        """What it weighs, exactly where that is near the limit, in bytes."""
        limit = self.rule.max_memory or _NO_LIMIT
        return max(self.scale.weigh(self.members, limit, now), self.cgroup.weigh(self.members, limit, now))

    def weigh_exactly(self, now: float) -> int:
        """What it weighs, in bytes."""
        return max(self.scale.exactly(self.members, now), self.cgroup.weigh(self.members, 0, now))

    def exists(self) -> bool:
        """Whether the main process lives, and is still the program it was."""
        now = processes.look(self.main.pid)
        return now is not None and now.start == self.main.start and not now.is_dead and self.rule.names(now.name)

    def drop_the_dead(self) -> None:
        for pid, member in list(self.members.items()):
            if not processes.alive(pid, member.start):
                del self.members[pid]


class Families:
    """All browsers that the rules mean."""

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self.by_main: dict[int, Family] = {}
        self._of: dict[int, tuple[int, Family]] = {}  # pid → (start, family)
        self._doubtful: list[Process] = []  # named like a browser, but their command line does not fit (yet)

    def update(self, table: Table, changed: Iterable[Process], now: float) -> list[Family]:
        """Take in what is new; the browsers found."""
        self._drop_the_dead(table)
        young = [processes.look(each.pid) for each in self._doubtful if now - each.started < YOUNG]
        doubtful = [process for process in young if process is not None]
        self._doubtful = []
        found = []
        for process in sorted((*doubtful, *changed), key=_parents_first):
            if not self._adopt(process) and (family := self._found(process)):
                self._gather(family, table)
                found.append(family)
        return [family for family in found if self.by_main.get(family.main.pid) is family]

    def forget(self, family: Family) -> None:
        self.by_main.pop(family.main.pid, None)
        self._of = {pid: each for pid, each in self._of.items() if each[1] is not family}

    def _drop_the_dead(self, table: Table) -> None:
        for pid in [pid for pid in self._of if pid not in table.known]:
            self._leave(pid)
        for family in list(self.by_main.values()):
            if not family.exists():
                self.forget(family)

    def _leave(self, pid: int) -> None:
        _, family = self._of.pop(pid)
        family.members.pop(pid, None)

    def _adopt(self, process: Process) -> bool:
        """Whether it is below a browser, or one of its processes already."""
        mine = self._of.get(process.pid)
        if mine is not None and mine[0] == process.start:
            mine[1].members[process.pid] = process
            return True
        if mine is not None:
            self._leave(process.pid)
        parent = self._of.get(process.parent)
        if parent is None or process.start < parent[0] or not processes.alive(process.parent, parent[0]):
            return False
        self._join(parent[1], process)
        return True

    def _join(self, family: Family, process: Process) -> None:
        family.members[process.pid] = process
        self._of[process.pid] = process.start, family

    def _found(self, process: Process) -> Family | None:
        rules = [rule for rule in self.rules if rule.names(process.name)]
        if not rules or process.is_dead:
            return None
        uid, arguments = processes.user(process.pid), processes.arguments(process.pid)
        for rule in rules:
            if uid is not None and rule.matches(uid, arguments):
                family = Family(process, rule, uid, arguments, {})
                for other in self.by_main.values():
                    other.cgroup.share_with(process.pid)
                self.by_main[process.pid] = family
                self._join(family, process)
                return family
        self._doubtful.append(process)
        return None

    def _gather(self, family: Family, table: Table) -> None:
        """Everything below a browser that was there before it was known to be one."""
        children: dict[int, list[Process]] = {}
        for process in table.known.values():
            children.setdefault(process.parent, []).append(process)
        below = [family.main]
        while below:
            parent = below.pop()
            for child in children.get(parent.pid, ()):
                if child.pid not in family.members and _is_child(child, parent):
                    self.by_main.pop(child.pid, None)  # it was taken for a browser of its own
                    self._join(family, child)
                    below.append(child)


def _parents_first(process: Process) -> tuple[int, int]:
    return process.start, process.pid


def _is_child(child: Process, parent: Process) -> bool:
    """Whether it is now: the table knows its first parent, and that pid may be another's today."""
    now = processes.look(child.pid)
    return now is not None and now.start == child.start >= parent.start and now.parent == parent.pid
