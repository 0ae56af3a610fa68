"""A browser: its main process and all its descendants, of one rule."""

from collections import deque

from servermonitoring.scrubbing import scrub_and_cut
from watchdog import processes
from watchdog.cgroup import Cgroup
from watchdog.memory import MemoryMeter
from watchdog.policy import Facts, Rule
from watchdog.processes import Process

_NO_LIMIT = 1 << 62  # bytes
_MOST_FORMER = 200  # processes
_LONGEST_COMMAND = 1000  # characters of it that are shown


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
