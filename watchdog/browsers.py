"""The browsers that run now: their processes, and the orphans of those that ended by themselves.

A browser is a main process and all its descendants, of one rule. Which process belongs to which browser is known by
parents, sessions, and the kernel's reports of forks.
"""

from collections import deque
from collections.abc import Iterable

from servermonitoring.scrubbing import scrub_and_cut
from watchdog import processes
from watchdog.cgroup import Cgroup
from watchdog.memory import MemoryMeter
from watchdog.policy import Facts, Rule, is_part
from watchdog.process_table import YOUNG, ForkListener, ProcessTable
from watchdog.processes import Process

_NO_LIMIT = 1 << 62  # bytes
_MOST_FORMER = 200  # processes
_LONGEST_COMMAND = 1000  # characters of it that are shown
_LAUNCHER = 5.0  # seconds: a main process that ended sooner was only a launcher
_ORPHAN_GRACE = 5.0  # seconds in which the orphans of an ended browser may end by themselves


class Browser:
    """A main process and its members. A member stays one when its parent ends and it gets another parent."""

    def __init__(self, main: Process, rule: Rule, uid: int, arguments: list[str], members: dict[int, Process]) -> None:
        """`members` are known by pid and include the main process."""
        self.main, self.rule, self.uid, self.arguments, self.members = main, rule, uid, arguments, members
        self.memory = 0  # bytes
        self.validated_at: float | None = None  # uptime
        self.excused_until = 0.0  # uptime until which its validations could not be read
        self.read_at = 0.0  # uptime when its records were last read
        self.former_members: deque[Process] = deque(maxlen=_MOST_FORMER)  # that ended since the records were read
        self.meter, self.cgroup = MemoryMeter(), Cgroup(main.pid)
        self.seen_at = 0.0  # uptime when the main process was last alive
        self.is_dying = False  # it is being killed: it keeps its members, whatever the rules say

    @property
    def command(self) -> str:
        return scrub_and_cut(" ".join(self.arguments), _LONGEST_COMMAND)

    def facts(self, excused_until: float = 0.0) -> Facts:
        excused_until = max(excused_until, self.excused_until)
        return Facts(self.main.started_at, self.memory, self.validated_at, excused_until, self.read_at)

    def all_members(self) -> list[Process]:
        """Return all processes whose records count, including those that ended since the records were read."""
        return [*self.members.values(), *self.former_members]

    def remove_member(self, pid: int) -> None:
        """Make a process a former member."""
        if member := self.members.pop(pid, None):
            self.former_members.append(member)

    def take_over_from(self, browser: "Browser") -> None:
        """Take over the validations of a browser whose main process has ended, read or not."""
        self.validated_at, self.excused_until = browser.validated_at, browser.excused_until
        self.former_members.extend(browser.former_members)

    def measure_memory(self, now: float) -> int:
        """Return the bytes in use; exact where they are near the limit."""
        limit = self.rule.max_memory or _NO_LIMIT
        return max(self.meter.read(self.members, limit, now), self.cgroup.memory(self.members, limit, now))

    def measure_memory_exactly(self, now: float) -> int:
        """Return the bytes in use."""
        return max(self.meter.read_exactly(self.members, now), self.cgroup.memory(self.members, 0, now))

    def exists(self) -> bool:
        """Return whether the main process is alive. It stays a browser whatever its name and program become."""
        return processes.alive(self.main.pid, self.main.start)

    def drop_dead_members(self) -> None:
        for pid, member in list(self.members.items()):
            if not processes.alive(pid, member.start):
                self.remove_member(pid)


class Browsers:
    """All browsers that match a rule, and the orphans of those that ended by themselves."""

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self.by_main: dict[int, Browser] = {}
        self.membership = _Membership()
        self.orphans: list[tuple[float, Browser]] = []  # when to kill the rest of an ended browser, and that browser
        self._pending: list[Process] = []  # to be added
        self._unreadable: set[int] = set()  # pids of candidates whose command line cannot be read now
        self._candidates: list[Process] = []  # named like a browser, but their command line does not match (yet)

    def update(self, table: ProcessTable, changed: Iterable[Process], now: float) -> list[Browser]:
        """Add new processes; return the browsers found. Raise OSError; the next update adds the rest."""
        self.membership.forks.update()
        young = [
            processes.find(each.pid)
            for each in self._candidates
            if now - each.started_at < YOUNG or each.pid in self._unreadable
        ]
        self._pending += [*filter(None, young), *changed]
        self._candidates, self._unreadable = [], set()
        found = []
        for process in sorted(self._pending, key=_parents_first):
            if not self.membership.adopt(process) and (browser := self._new_browser(process)):
                self._add_descendants(browser, table)
                found.append(browser)
        self._pending = []
        self.membership.drop_dead(table)
        for browser in list(self.by_main.values()):
            if browser.exists():
                browser.seen_at = now
            elif not browser.is_dying:
                found += self._handle_main_exit(browser, table, now)
        return [browser for browser in found if self.by_main.get(browser.main.pid) is browser]

    def has_pending(self) -> bool:
        """Return whether an update has failed and left processes to be added."""
        return bool(self._pending)

    def add(self, browser: Browser) -> None:
        """Add a browser with its present members."""
        for other in (*self.by_main.values(), *(orphaned for _, orphaned in self.orphans)):
            other.cgroup.share_with(browser.main.pid)
        self.by_main[browser.main.pid] = browser
        for member in browser.members.values():
            self.membership.join(browser, member)

    def forget(self, browser: Browser) -> None:
        if self.by_main.get(browser.main.pid) is browser:
            del self.by_main[browser.main.pid]
        self.orphans = [each for each in self.orphans if each[1] is not browser]
        self.membership.forget(browser)

    def change_rules(self, rules: list[Rule], table: ProcessTable) -> None:
        """Apply other rules from now on. Browsers that match them too keep their members."""
        self.rules = rules
        for browser in list(self.by_main.values()):
            if browser.is_dying:
                continue
            rule = self._rule_for(browser.main.name, browser.uid, browser.arguments)
            if rule is None:
                self.forget(browser)
            else:
                browser.rule = rule
        self._pending = list(table.known.values())

    def due_orphans(self, now: float) -> list[Browser]:
        """Return ended browsers with processes that did not end by themselves in time."""
        waiting = [(when, browser) for when, browser in self.orphans if not browser.is_dying]
        for _, browser in waiting:
            browser.drop_dead_members()
            if not browser.members:
                self.forget(browser)
        return [browser for when, browser in waiting if when <= now and browser.members]

    def due(self) -> float:
        """Return the uptime at which orphans are due; infinite for never."""
        return min((when for when, browser in self.orphans if not browser.is_dying), default=float("inf"))

    def _handle_main_exit(self, browser: Browser, table: ProcessTable, now: float) -> list[Browser]:
        """Return the browsers among the members that live on; make the other members orphans."""
        browser.drop_dead_members()
        living = sorted(filter(None, map(processes.find, browser.members)), key=_parents_first)
        self.forget(browser)
        try:
            successors = self._successors(browser, living, table)
        except OSError:
            self.add(browser)  # for the next update
            raise
        browser.members = {each.pid: each for each in living if each not in self.membership}
        if browser.members and not successors and browser.seen_at - browser.main.started_at < _LAUNCHER:
            return [self._browser_of_launcher(browser)]
        for successor in successors:
            browser.cgroup.share_with(successor.main.pid)
        for member in browser.members.values():
            self.membership.join(browser, member)
        browser.arguments = []  # its profile belongs to its driver, or to a browser that it started
        if browser.members:
            self.orphans.append((now + _ORPHAN_GRACE, browser))
        return successors

    def _successors(self, browser: Browser, living: list[Process], table: ProcessTable) -> list[Browser]:
        """Return the browsers that it started: itself after a restart, or the browser of a launcher."""
        successors = []
        for process in living:
            if process in self.membership or is_part(processes.arguments(process.pid)):
                continue
            successor = self._new_browser(process)
            if successor is not None:
                successor.take_over_from(browser)
                self._add_descendants(successor, table)
                successors.append(successor)
        return successors

    def _browser_of_launcher(self, launcher: Browser) -> Browser:
        """Return the browser that a launcher started before it ended, whatever its name."""
        main = next(iter(launcher.members.values()))
        arguments = processes.arguments(main.pid)
        browser = Browser(main, launcher.rule, launcher.uid, arguments, launcher.members)
        browser.take_over_from(launcher)
        self.add(browser)
        return browser

    def _new_browser(self, process: Process) -> Browser | None:
        if process.is_dead or not any(rule.names(process.name) for rule in self.rules):
            return None
        uid, arguments = processes.user(process.pid), processes.arguments(process.pid)
        if uid is None:
            return None
        rule = self._rule_for(process.name, uid, arguments)
        if rule is None:
            self._candidates.append(process)
            if processes.is_hidden(process.pid):
                self._unreadable.add(process.pid)
            return None
        browser = Browser(process, rule, uid, arguments, {process.pid: process})
        self.add(browser)
        return browser

    def _rule_for(self, name: str, uid: int, arguments: list[str]) -> Rule | None:
        return next((rule for rule in self.rules if rule.names(name) and rule.matches(uid, arguments)), None)

    def _add_descendants(self, browser: Browser, table: ProcessTable) -> None:
        """Add the descendants that were there before the browser was known to be one."""
        children: dict[int, list[Process]] = {}
        for process in table.known.values():
            children.setdefault(process.parent, []).append(process)
        below = [browser.main]
        while below:
            parent = below.pop()
            for child in children.get(parent.pid, ()):
                is_free = child.pid not in browser.members and not self.membership.is_dying(child)
                if is_free and _is_child(child, parent):
                    self._absorb(child.pid, browser)
                    self.membership.join(browser, child)
                    below.append(child)

    def _absorb(self, pid: int, browser: Browser) -> None:
        """Make what was taken for a browser of its own a part of this one."""
        other = self.by_main.get(pid)
        if other is not None:
            self.forget(other)
            for member in other.members.values():
                self.membership.join(browser, member)


def _parents_first(process: Process) -> tuple[int, int]:
    return process.start, process.pid


def _is_child(child: Process, parent: Process) -> bool:
    """Return whether it is a child now: the table has its first parent, whose pid may have been reused."""
    now = processes.find(child.pid)
    return now is not None and now.start == child.start >= parent.start and now.parent == parent.pid


class _Membership:
    """The processes of all browsers. A process that was once a descendant of a browser stays its member."""

    def __init__(self) -> None:
        self.forks = ForkListener()
        self._of: dict[int, tuple[int, Browser]] = {}  # pid → (start, browser)
        self._sessions: dict[int, tuple[int, Browser]] = {}  # begun by members: pid of the leader → (start, browser)
        self._empty: set[int] = set()  # sessions without a process at the last scan: a child may have been forked

    def __contains__(self, process: Process) -> bool:
        return self._of.get(process.pid, (None,))[0] == process.start

    def forget(self, browser: Browser) -> None:
        for known in (self._of, self._sessions):
            for pid in [pid for pid, each in known.items() if each[1] is browser]:
                del known[pid]

    def adopt(self, process: Process) -> bool:
        """Make a descendant of a browser its member; return whether it is one."""
        own = self._of.get(process.pid)
        if own is not None and own[0] == process.start:
            own[1].members[process.pid] = process
            return True
        if own is not None:
            self._leave(process.pid)
        browser = self._child_of(process) or self._in_session_of(process) or self._forked_by(process)
        if browser is not None:
            self.join(browser, process)
        return browser is not None

    def join(self, browser: Browser, process: Process) -> None:
        browser.members[process.pid] = process
        self._of[process.pid] = process.start, browser

    def drop_dead(self, table: ProcessTable) -> None:
        """Drop dead members, except of browsers that are being killed: those may have had children."""
        for pid in [pid for pid, (_, browser) in self._of.items() if pid not in table.known and not browser.is_dying]:
            self._leave(pid)
        if self._sessions:
            members = [browser.members[pid] for pid, (_, browser) in self._of.items() if pid in browser.members]
            empty = self._sessions.keys() - {member.session for member in members}
            for session in empty & self._empty:
                del self._sessions[session]
            self._empty = empty

    def is_dying(self, process: Process) -> bool:
        start, browser = self._of.get(process.pid, (0, None))
        return browser is not None and browser.is_dying and start == process.start

    def _child_of(self, process: Process) -> Browser | None:
        start, browser = self._of.get(process.parent, (0, None))
        is_known = browser is not None and start <= process.start and processes.alive(process.parent, start)
        return browser if is_known else None

    def _in_session_of(self, process: Process) -> Browser | None:
        """Return the browser that began its session: its parent may have ended before it was seen."""
        began = self._of.get(process.session) or self._sessions.get(process.session)
        if began is None or began[0] > process.start:
            return None
        leader = processes.find(process.session)
        if leader is not None and leader.start != began[0]:
            return None
        self._sessions[process.session] = began
        return began[1]

    def _forked_by(self, process: Process) -> Browser | None:
        """Return the browser that is being killed and forked it, or a parent that was never seen."""
        for pid in self.forks.ancestors(process.pid):
            start, browser = self._of.get(pid, (0, None))
            if browser is not None and browser.is_dying and start <= process.start:
                return browser
        return None

    def _leave(self, pid: int) -> None:
        _, browser = self._of.pop(pid)
        browser.remove_member(pid)
