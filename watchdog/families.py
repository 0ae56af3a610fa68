"""A browser's main process with everything below it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from servermonitoring.scrubbing import scrub_and_cut
from watchdog import processes
from watchdog.memory import Scale
from watchdog.processes import Process
from watchdog.rules import Rule, is_part
from watchdog.table import YOUNG, Table
from watchdog.verdict import Facts

_NO_LIMIT = 1 << 62  # bytes
_LONGEST_COMMAND = 1000  # characters of it that are told
_LAUNCHER = 5.0  # seconds: a main process that was not seen to live longer has only started another
_LEFT_GRACE = 5.0  # seconds in which what an ended browser leaves may end by itself


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
    scale: Scale = field(default_factory=Scale)
    seen: float = 0.0  # uptime when the main process lived
    dying: bool = False  # it is being killed: it keeps its members, whatever the rules say

    @property
    def command(self) -> str:
        return scrub_and_cut(" ".join(self.arguments), _LONGEST_COMMAND)

    def facts(self, excused: float = 0.0) -> Facts:
        return Facts(self.main.started, self.memory, self.validated, excused)

    def weigh(self, now: float) -> int:
        """What it weighs, exactly where that is near the limit, in bytes."""
        return self.scale.weigh(self.members, self.rule.max_memory or _NO_LIMIT, now)

    def exists(self) -> bool:
        """Whether the main process lives. It stays a browser whatever it calls itself or executes later."""
        return processes.alive(self.main.pid, self.main.start)

    def drop_the_dead(self) -> None:
        for pid, member in list(self.members.items()):
            if not processes.alive(pid, member.start):
                del self.members[pid]


class Families:
    """All browsers that the rules mean, and what those that have ended by themselves have left."""

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self.by_main: dict[int, Family] = {}
        self.left: list[tuple[float, Family]] = []  # when to kill what a browser left that has ended, and that
        self._of: dict[int, tuple[int, Family]] = {}  # pid → (start, family)
        self._sessions: dict[int, tuple[int, Family]] = {}  # that families have begun; by pid of who did, as above
        self._waiting: list[Process] = []  # to be taken in
        self._doubtful: list[Process] = []  # named like a browser, but their command line does not fit (yet)

    def update(self, table: Table, changed: Iterable[Process], now: float) -> list[Family]:
        """Take in what is new; the browsers found. Raises OSError; the next update takes in what is left."""
        young = [processes.look(each.pid) for each in self._doubtful if now - each.started < YOUNG]
        self._waiting += [*filter(None, young), *changed]
        self._doubtful = []
        found = []
        for process in sorted(self._waiting, key=_parents_first):
            if not self._adopt(process) and (family := self._found(process)):
                self._gather(family, table)
                found.append(family)
        self._waiting = []
        self._drop_the_dead(table)
        for family in list(self.by_main.values()):
            if family.exists():
                family.seen = now
            elif not family.dying:
                found += self._bereave(family, table, now)
        return [family for family in found if self.by_main.get(family.main.pid) is family]

    def take(self, family: Family) -> None:
        """Count a family as one of these, with the members that it has."""
        self.by_main[family.main.pid] = family
        for member in family.members.values():
            self._join(family, member)

    def forget(self, family: Family) -> None:
        if self.by_main.get(family.main.pid) is family:
            del self.by_main[family.main.pid]
        self.left = [each for each in self.left if each[1] is not family]
        for known in (self._of, self._sessions):
            for pid in [pid for pid, each in known.items() if each[1] is family]:
                del known[pid]

    def change_rules(self, rules: list[Rule], table: Table) -> None:
        """Judge by other rules from now on. Who belongs to a browser that they mean, too, stays known."""
        self.rules = rules
        for family in list(self.by_main.values()):
            rule = self._rule_for(family.main.name, family.uid, family.arguments)
            if family.dying:
                continue
            if rule is None:
                self.forget(family)
            else:
                family.rule = rule
        self._waiting = list(table.known.values())

    def left_over(self, now: float) -> list[Family]:
        """What ended browsers have left, and what has not ended by itself in the time that it had; each once."""
        for _, family in self.left:
            family.drop_the_dead()
        for family in [family for _, family in self.left if not family.members]:
            self.forget(family)
        due = [family for when, family in self.left if when <= now]
        self.left = [each for each in self.left if each[0] > now]
        return due

    def due(self) -> float:
        """The uptime at which something will be left over; infinite for never."""
        return min((when for when, _ in self.left), default=float("inf"))

    def _drop_the_dead(self, table: Table) -> None:
        for pid in [pid for pid, (_, family) in self._of.items() if pid not in table.known and not family.dying]:
            self._leave(pid)
        if self._sessions:
            lived_in = {member.session for _, family in self._of.values() for member in family.members.values()}
            self._sessions = {session: each for session, each in self._sessions.items() if session in lived_in}

    def _leave(self, pid: int) -> None:
        _, family = self._of.pop(pid)
        family.members.pop(pid, None)

    def _bereave(self, family: Family, table: Table, now: float) -> list[Family]:
        """Its main process has ended: the browsers among those that live on; what is none is left over."""
        self.forget(family)
        family.drop_the_dead()
        living = sorted(filter(None, map(processes.look, family.members)), key=_parents_first)
        heirs = self._heirs(family, living, table)
        family.members = {each.pid: each for each in living if each.pid not in self._of}
        if family.members and not heirs and family.seen - family.main.started < _LAUNCHER:
            return [self._inherit(family)]
        for member in family.members.values():
            self._join(family, member)
        if family.members:
            self.left.append((now + _LEFT_GRACE, family))
        return heirs

    def _heirs(self, family: Family, living: list[Process], table: Table) -> list[Family]:
        """Browsers that it started: one that starts itself anew, or what a launcher has started."""
        heirs = []
        for process in living:
            if process.pid in self._of or is_part(processes.arguments(process.pid)):
                continue
            heir = self._found(process)
            if heir is not None:
                heir.validated = family.validated
                self._gather(heir, table)
                heirs.append(heir)
        return heirs

    def _inherit(self, family: Family) -> Family:
        """What a launcher started and left is the browser, whatever its name."""
        main = next(iter(family.members.values()))
        arguments = processes.arguments(main.pid)
        heir = Family(main, family.rule, family.uid, arguments, family.members, validated=family.validated)
        self.take(heir)
        return heir

    def _adopt(self, process: Process) -> bool:
        """Whether it is below a browser, or one of its processes already."""
        mine = self._of.get(process.pid)
        if mine is not None and mine[0] == process.start:
            mine[1].members[process.pid] = process
            return True
        if mine is not None:
            self._leave(process.pid)
        family = self._child_of(process) or self._in_session_of(process)
        if family is not None:
            self._join(family, process)
        return family is not None

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

    def _join(self, family: Family, process: Process) -> None:
        family.members[process.pid] = process
        self._of[process.pid] = process.start, family

    def _found(self, process: Process) -> Family | None:
        if process.is_dead or not any(rule.names(process.name) for rule in self.rules):
            return None
        uid, arguments = processes.user(process.pid), processes.arguments(process.pid)
        if uid is None:
            return None
        rule = self._rule_for(process.name, uid, arguments)
        if rule is None:
            self._doubtful.append(process)
            return None
        family = Family(process, rule, uid, arguments, {process.pid: process})
        self.take(family)
        return family

    def _rule_for(self, name: str, uid: int, arguments: list[str]) -> Rule | None:
        return next((rule for rule in self.rules if rule.names(name) and rule.matches(uid, arguments)), None)

    def _gather(self, family: Family, table: Table) -> None:
        """Everything below a browser that was there before it was known to be one."""
        children: dict[int, list[Process]] = {}
        for process in table.known.values():
            children.setdefault(process.parent, []).append(process)
        below = [family.main]
        while below:
            parent = below.pop()
            for child in children.get(parent.pid, ()):
                if child.pid not in family.members and not self._is_dying(child) and _is_child(child, parent):
                    self._absorb(child.pid, family)
                    self._join(family, child)
                    below.append(child)

    def _is_dying(self, process: Process) -> bool:
        start, family = self._of.get(process.pid, (0, None))
        return family is not None and family.dying and start == process.start

    def _absorb(self, pid: int, family: Family) -> None:
        """What was taken for a browser of its own is part of another."""
        other = self.by_main.get(pid)
        if other is not None:
            self.forget(other)
            for member in other.members.values():
                self._join(family, member)


def _parents_first(process: Process) -> tuple[int, int]:
    return process.start, process.pid


def _is_child(child: Process, parent: Process) -> bool:
    """Whether it is now: the table knows its first parent, and that pid may be another's today."""
    now = processes.look(child.pid)
    return now is not None and now.start == child.start >= parent.start and now.parent == parent.pid
