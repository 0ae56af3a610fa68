"""A browser: its main process and everything that it started."""

from collections import deque

from servermonitoring.scrubbing import scrub_and_cut
from watchdog import processes
from watchdog.cgroup import Cgroup
from watchdog.memory import Scale
from watchdog.policy import Facts
from watchdog.processes import Process
from watchdog.rules import Rule

_NO_LIMIT = 1 << 62  # bytes
_MOST_FORMER = 200  # processes
_LONGEST_COMMAND = 1000  # characters of it that are told


class Family:
    """A browser. Members stay members when their parent dies and they are handed to another."""

    def __init__(self, main: Process, rule: Rule, uid: int, arguments: list[str], members: dict[int, Process]) -> None:
        """`members` by pid, the main process included."""
        self.main, self.rule, self.uid, self.arguments, self.members = main, rule, uid, arguments, members
        self.memory = 0  # bytes
        self.validated: float | None = None  # uptime
        self.excused = 0.0  # uptime until which its validations could not be seen
        self.asked = 0.0  # uptime when its records were last read
        self.former: deque[Process] = deque(maxlen=_MOST_FORMER)  # members that ended since
        self.scale, self.cgroup = Scale(), Cgroup(main.pid)
        self.seen = 0.0  # uptime when the main process lived
        self.dying = False  # it is being killed: it keeps its members, whatever the rules say

    @property
    def command(self) -> str:
        return scrub_and_cut(" ".join(self.arguments), _LONGEST_COMMAND)

    def facts(self, excused: float = 0.0) -> Facts:
        return Facts(self.main.started, self.memory, self.validated, max(excused, self.excused), self.asked)

    def all_members(self) -> list[Process]:
        """Those that may have been validated: also what has ended since the records were last read."""
        return [*self.members.values(), *self.former]

    def lose(self, pid: int) -> None:
        """Count a process as a former member."""
        if member := self.members.pop(pid, None):
            self.former.append(member)

    def succeed(self, family: "Family") -> None:
        """Take over what is known of the validations of one whose main process has ended, read or not."""
        self.validated, self.excused = family.validated, family.excused
        self.former.extend(family.former)

    def weigh(self, now: float) -> int:
        """What it weighs, exactly where that is near the limit, in bytes."""
        limit = self.rule.max_memory or _NO_LIMIT
        return max(self.scale.weigh(self.members, limit, now), self.cgroup.weigh(self.members, limit, now))

    def weigh_exactly(self, now: float) -> int:
        """What it weighs, in bytes."""
        return max(self.scale.exactly(self.members, now), self.cgroup.weigh(self.members, 0, now))

    def exists(self) -> bool:
        """Whether the main process lives. It stays a browser whatever it calls itself or executes later."""
        return processes.alive(self.main.pid, self.main.start)

    def drop_the_dead(self) -> None:
        for pid, member in list(self.members.items()):
            if not processes.alive(pid, member.start):
                self.lose(pid)
