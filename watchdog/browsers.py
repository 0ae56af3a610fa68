"""Which browsers there are, and what those have left that have ended by themselves."""

from collections.abc import Iterable

from watchdog import processes
from watchdog.browser import Family
from watchdog.membership import Membership
from watchdog.process_table import YOUNG, Table
from watchdog.processes import Process
from watchdog.rules import Rule, is_part

_LAUNCHER = 5.0  # seconds: a main process that was not seen to live longer has only started another
_LEFT_GRACE = 5.0  # seconds in which what an ended browser leaves may end by itself


class Families:
    """All browsers that the rules mean, and what those that have ended by themselves have left."""

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self.by_main: dict[int, Family] = {}
        self.membership = Membership()
        self.left: list[tuple[float, Family]] = []  # when to kill what a browser left that has ended, and that
        self._waiting: list[Process] = []  # to be taken in
        self._hidden: set[int] = set()  # pids of those of them whose command line cannot be known now
        self._doubtful: list[Process] = []  # named like a browser, but their command line does not fit (yet)

    def update(self, table: Table, changed: Iterable[Process], now: float) -> list[Family]:
        """Take in what is new; the browsers found. Raises OSError; the next update takes in what is left."""
        self.membership.ancestry.update()
        young = [
            processes.look(each.pid)
            for each in self._doubtful
            if now - each.started < YOUNG or each.pid in self._hidden
        ]
        self._waiting += [*filter(None, young), *changed]
        self._doubtful, self._hidden = [], set()
        found = []
        for process in sorted(self._waiting, key=_parents_first):
            if not self.membership.adopt(process) and (family := self._found(process)):
                self._gather(family, table)
                found.append(family)
        self._waiting = []
        self.membership.drop_the_dead(table)
        for family in list(self.by_main.values()):
            if family.exists():
                family.seen = now
            elif not family.dying:
                found += self._bereave(family, table, now)
        return [family for family in found if self.by_main.get(family.main.pid) is family]

    def is_behind(self) -> bool:
        """Whether an update has failed, and there is something to be taken in yet."""
        return bool(self._waiting)

    def take(self, family: Family) -> None:
        """Count a family as one of these, with the members that it has."""
        for other in (*self.by_main.values(), *(left for _, left in self.left)):
            other.cgroup.share_with(family.main.pid)
        self.by_main[family.main.pid] = family
        for member in family.members.values():
            self.membership.join(family, member)

    def forget(self, family: Family) -> None:
        if self.by_main.get(family.main.pid) is family:
            del self.by_main[family.main.pid]
        self.left = [each for each in self.left if each[1] is not family]
        self.membership.forget(family)

    def change_rules(self, rules: list[Rule], table: Table) -> None:
        """Judge by other rules from now on. Who belongs to a browser that they mean, too, stays known."""
        self.rules = rules
        for family in list(self.by_main.values()):
            if family.dying:
                continue
            rule = self._rule_for(family.main.name, family.uid, family.arguments)
            if rule is None:
                self.forget(family)
            else:
                family.rule = rule
        self._waiting = list(table.known.values())

    def left_over(self, now: float) -> list[Family]:
        """What ended browsers have left, and what has not ended by itself in the time that it had."""
        waiting = [(when, family) for when, family in self.left if not family.dying]
        for _, family in waiting:
            family.drop_the_dead()
            if not family.members:
                self.forget(family)
        return [family for when, family in waiting if when <= now and family.members]

    def due(self) -> float:
        """The uptime at which something will be left over; infinite for never."""
        return min((when for when, family in self.left if not family.dying), default=float("inf"))

    def _bereave(self, family: Family, table: Table, now: float) -> list[Family]:
        """Its main process has ended: the browsers among those that live on; what is none is left over."""
        family.drop_the_dead()
        living = sorted(filter(None, map(processes.look, family.members)), key=_parents_first)
        self.forget(family)
        try:
            heirs = self._heirs(family, living, table)
        except OSError:
            self.take(family)  # for the next update
            raise
        family.members = {each.pid: each for each in living if each not in self.membership}
        if family.members and not heirs and family.seen - family.main.started < _LAUNCHER:
            return [self._inherit(family)]
        for heir in heirs:
            family.cgroup.share_with(heir.main.pid)
        for member in family.members.values():
            self.membership.join(family, member)
        family.arguments = []  # its profile is its driver's, or of a browser that it started
        if family.members:
            self.left.append((now + _LEFT_GRACE, family))
        return heirs

    def _heirs(self, family: Family, living: list[Process], table: Table) -> list[Family]:
        """Browsers that it started: one that starts itself anew, or what a launcher has started."""
        heirs = []
        for process in living:
            if process in self.membership or is_part(processes.arguments(process.pid)):
                continue
            heir = self._found(process)
            if heir is not None:
                heir.succeed(family)
                self._gather(heir, table)
                heirs.append(heir)
        return heirs

    def _inherit(self, family: Family) -> Family:
        """What a launcher started and left is the browser, whatever its name."""
        main = next(iter(family.members.values()))
        arguments = processes.arguments(main.pid)
        heir = Family(main, family.rule, family.uid, arguments, family.members)
        heir.succeed(family)
        self.take(heir)
        return heir

    def _found(self, process: Process) -> Family | None:
        if process.is_dead or not any(rule.names(process.name) for rule in self.rules):
            return None
        uid, arguments = processes.user(process.pid), processes.arguments(process.pid)
        if uid is None:
            return None
        rule = self._rule_for(process.name, uid, arguments)
        if rule is None:
            self._doubtful.append(process)
            if processes.is_hidden(process.pid):
                self._hidden.add(process.pid)
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
                if child.pid not in family.members and not self.membership.is_dying(child) and _is_child(child, parent):
                    self._absorb(child.pid, family)
                    self.membership.join(family, child)
                    below.append(child)

    def _absorb(self, pid: int, family: Family) -> None:
        """What was taken for a browser of its own is part of another."""
        other = self.by_main.get(pid)
        if other is not None:
            self.forget(other)
            for member in other.members.values():
                self.membership.join(family, member)


def _parents_first(process: Process) -> tuple[int, int]:
    return process.start, process.pid


def _is_child(child: Process, parent: Process) -> bool:
    """Whether it is now: the table knows its first parent, and that pid may be another's today."""
    now = processes.look(child.pid)
    return now is not None and now.start == child.start >= parent.start and now.parent == parent.pid
